"""How a panel of a dashboard looks, whatever it shows; the one place that knows Grafana's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as grafana
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard as models

_SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "jiebang"
_PALETTE = models.FieldColorModeId.PALETTE_CLASSIC

AnyPanel = TypeVar("AnyPanel", timeseries.Panel, stat.Panel, bargauge.Panel)


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, and what each of its series is called (`{{label}}` stands for a label's value)."""

    expression: str
    legend: str = ""
    exemplars: bool = False
    """Whether single observations are shown, from which a click leads to their trace."""


@dataclass(frozen=True, slots=True)
class Bound:
    """From this value on a number is shown in a warning's or an alarm's colour."""

    value: float
    colour: str = "red"


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: Sequence[Builder[models.Panel]]


def _dressed(
    panel: AnyPanel, title: str, says: str, queries: Sequence[Query], unit: str, *, span: int, height: int
) -> AnyPanel:
    panel.title(title).description(says).datasource(_SOURCE).unit(unit).span(span).height(height)
    for letter, query in zip(ascii_uppercase, queries, strict=False):
        target = Dataquery().ref_id(letter).expr(query.expression).legend_format(query.legend).datasource(_SOURCE)
        target.range() if isinstance(panel, timeseries.Panel) else target.instant()
        panel.with_target(target.exemplar(True) if query.exemplars else target)
    return panel


def lines(
    title: str, says: str, *queries: Query, unit: str = "short", span: int = 12, stacked: bool = False
) -> timeseries.Panel:
    """Values over time, a line for each series, or areas that add up."""
    panel = _dressed(timeseries.Panel(), title, says, queries, unit, span=span, height=8)
    panel.min(0).color_scheme(grafana.FieldColor().mode(_PALETTE)).fill_opacity(30 if stacked else 8).line_width(1)
    panel.show_points(looks.VisibilityMode.NEVER)
    if stacked:
        panel.stacking(common.StackingConfig().mode(looks.StackingMode.NORMAL))
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST).show_legend(True)
    panel.legend(legend.placement(looks.LegendPlacement.BOTTOM).calcs(["lastNotNull", "max"]))
    return panel.tooltip(
        common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING)
    )


def number(
    title: str, says: str, query: Query, *bounds: Bound, unit: str = "short", span: int = 6, decimals: int | None = None
) -> stat.Panel:
    """One value now, green below its first bound."""
    panel = _dressed(stat.Panel(), title, says, [query], unit, span=span, height=5)
    panel.graph_mode(looks.BigValueGraphMode.NONE).color_mode(looks.BigValueColorMode.VALUE)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    if decimals is not None:
        panel.decimals(decimals)
    return panel.thresholds(_steps("green", bounds)).color_scheme(
        grafana.FieldColor().mode(models.FieldColorModeId.THRESHOLDS)
    )


def attainment(title: str, says: str, query: Query, aim: float, *, span: int = 6) -> stat.Panel:
    """A share of what went well, red below the aim."""
    panel = number(title, says, query, unit="percentunit", span=span, decimals=2)
    return panel.thresholds(_steps("red", [Bound(aim, "green")])).max(1)


def bars(title: str, says: str, *queries: Query, unit: str = "short", span: int = 12) -> bargauge.Panel:
    """One bar for each series, as long as its value now."""
    panel = _dressed(bargauge.Panel(), title, says, queries, unit, span=span, height=8)
    panel.orientation(looks.VizOrientation.HORIZONTAL).display_mode(looks.BarGaugeDisplayMode.BASIC).min(0).decimals(0)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.color_scheme(grafana.FieldColor().mode(_PALETTE))


def _steps(base: str, bounds: Sequence[Bound]) -> grafana.ThresholdsConfig:
    steps = [models.Threshold(None, base), *(models.Threshold(bound.value, bound.colour) for bound in bounds)]
    return grafana.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def choice(name: str, label: str, says: str, query: str) -> grafana.QueryVariable:
    """A label's values to choose from; all of them at first. Queries write it `$name`."""
    variable = grafana.QueryVariable(name).label(label).description(says).query(query).datasource(_SOURCE)
    variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    return variable.multi(True).include_all(True).all_value(".*")


def dashboard(
    name: str, title: str, says: str, rows: Sequence[Row], choices: Sequence[grafana.QueryVariable] = ()
) -> models.Dashboard:
    """A dashboard of rows, with links to all the others; `name` is its file's name and the end of its address."""
    page = grafana.Dashboard(f"Jiebang: {title}").uid(f"jiebang-{name}").description(says).tags([_TAG])
    page.time("now-6h", "now").refresh("30s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    page.readonly().version(1)
    page.with_variable(grafana.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for variable in choices:
        page.with_variable(variable)
    links = grafana.DashboardLink("Jiebang").type(models.DashboardLinkType.DASHBOARDS).tags([_TAG])
    page.link(links.as_dropdown(True).keep_time(True))
    for row in rows:
        page.with_row(grafana.Row(row.title))
        for panel in row.panels:
            page.with_panel(panel)
    made = page.build()
    for place, shown in enumerate(made.panels or [], start=1):
        shown.id_val = place
    return made
