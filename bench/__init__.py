"""Side-by-side benchmarks: every figure beside what a user would pick instead, both measured in the same run."""
