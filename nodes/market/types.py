"""Importing this module registers every task type of the market research."""

from __future__ import annotations

from holdfast.nodes.market.collect_data import collect_data
from holdfast.nodes.market.competitor_analysis import competitor_analysis
from holdfast.nodes.market.forecast import forecast
from holdfast.nodes.market.market_overview import market_overview
from holdfast.nodes.market.method import method
from holdfast.nodes.market.profile_data import profile_data
from holdfast.nodes.market.recommendations import recommendations
from holdfast.nodes.market.summary import summary
from holdfast.nodes.market.trends_analysis import trends_analysis
from holdfast.nodes.market.write_section import write_section

__all__ = [
    "collect_data",
    "competitor_analysis",
    "forecast",
    "market_overview",
    "method",
    "profile_data",
    "recommendations",
    "summary",
    "trends_analysis",
    "write_section",
]
