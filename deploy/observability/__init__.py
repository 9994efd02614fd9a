"""What watches the platform: alerts, their tests, and dashboards."""
