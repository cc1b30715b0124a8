"""The Mermaid chart of a composition."""

from __future__ import annotations

import re

from report import mermaid
from report.composition import compose
from tests.report.plans import container, network, recorded


def test_the_chart_shows_services_by_system_and_role() -> None:
    assert mermaid.draw(compose(recorded("create").planned)).splitlines() == [
        "flowchart LR",
        '  clients(("clients"))',
        "  clients -->|28917| n_foundation_edge",
        '  subgraph n_foundation["foundation"]',
        '    n_foundation_edge{{"edge"}}',
        "  end",
        '  subgraph n_shop["shop"]',
        '    subgraph n_shop_tiers["tiers"]',
        '      n_shop_api["api ×2"]',
        '      n_shop_old["old"]',
        "    end",
        '    subgraph n_shop_data["data"]',
        '      n_shop_postgres[("postgres")]',
        "    end",
        "  end",
        "  n_foundation_edge --> n_shop_api",
        "  n_shop_api --> n_shop_postgres",
        "  n_shop_old --> n_shop_api",
    ]


def test_links_of_telemetry_are_dotted() -> None:
    planned = [
        network("api-net", "shop", "api"),
        container("api", "shop", "app", ["api-net"]),
        container("prometheus", "shop", "telemetry", ["api-net"]),
    ]
    assert "  n_shop_prometheus -.-> n_shop_api" in mermaid.draw(compose(planned)).splitlines()


def test_names_cannot_add_markup() -> None:
    planned = [container('a"] --> b; click x "https://e.example', "shop", "app", [])]
    chart = mermaid.draw(compose(planned))
    assert "-->" not in chart
    (node,) = [line.strip() for line in chart.splitlines() if "click" in line]
    assert re.fullmatch(r'n_\w+\["[^"\]]*"\]', node)
