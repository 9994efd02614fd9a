"""`make helm`: writes what is generated of the chart, then lints, renders and validates every example."""

from __future__ import annotations

import sys

from deploy.helm import readme, schema
from deploy.helm.chart import CHART, EXAMPLES, RENDERED, ChartRefused, comparable, copies, example, lint, render
from deploy.helm.tools import find_helm
from deploy.helm.validate import Validator
from deploy.local.fetch import FetchFailed, say


def main() -> int:
    """0 when every example is well, 1 when one is not, 3 where helm could not be had."""
    try:
        helm = find_helm()
        validator = Validator.found()
    except FetchFailed as failed:
        sys.stderr.write(f"{failed}\n")
        return 3
    for copy, content in copies().items():
        copy.write_bytes(content)
    (CHART / "values.schema.json").write_text(schema.written())
    page = CHART / "README.md"
    page.write_text(readme.written(page.read_text("utf-8")), "utf-8")
    RENDERED.mkdir(exist_ok=True)
    faults = 0
    for values in EXAMPLES:
        try:
            lint(helm, values)
            rendered = render(helm, values)
        except ChartRefused as refused:
            faults += 1
            say(f"{example(values)}: {refused}")
            continue
        (RENDERED / f"{example(values)}.yaml").write_text(comparable(rendered))
        wrong = validator.faults(rendered)
        faults += len(wrong)
        for line in wrong:
            say(f"{example(values)}: {line}")
        say(f"{example(values)}: {rendered.count('kind: ')} objects, {len(wrong)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
