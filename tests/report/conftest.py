"""Contents and pages of a run that left every kind of evidence."""

import pytest
from judged_samples import judged
from test_report_pages import Page, page_of

from tradewright.report.content import ReportContent


@pytest.fixture(scope="module")
def content() -> ReportContent:
    return judged()


@pytest.fixture(scope="module")
def page(content: ReportContent, tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(content, tmp_path_factory.mktemp("judged"))
