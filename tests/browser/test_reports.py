"""Reports as people see them: live in another window, downloaded by the browser."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.site import LiveSite, connected


def test_a_report_is_asked_for_appears_elsewhere_and_is_downloaded(live: LiveSite, tmp_path: Path) -> None:
    project = live.project("Reported")
    live.task(project, "weld the membrane")
    live.task(project, "done long ago", status="done")
    there = live.page("/web/reports")
    connected(there)
    here = live.page(f"/web/projects/{project}")
    here.get_by_role("link", name="Report of these").click()
    expect(here.get_by_label("Project", exact=True)).to_have_value(str(project))
    expect(here.get_by_label("Done", exact=True)).not_to_be_checked()
    here.get_by_role("button", name="Make the report").click()
    line = there.locator(".report").first
    expect(line).to_contain_text("Reported")
    expect(line).to_contain_text("1 row,")
    with there.expect_download() as got:
        line.get_by_role("link", name="Download").click()
    got.value.save_as(tmp_path / "file.csv")
    text = (tmp_path / "file.csv").read_text()
    assert "weld the membrane" in text
    assert "done long ago" not in text
    here.context.close()
    there.context.close()
