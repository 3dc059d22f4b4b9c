"""What the hub's verbs see beside it: also before a configuration's text has come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from regulator_hub.cli import main
from tests.regulator_hub import record
from tests.regulator_hub.harness import gateway, registered, running_hub


@pytest.mark.parametrize("text_came", [False, True])
async def test_violations_are_listed_though_the_text_of_the_configuration_is_lacked(text_came: bool, tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        if text_came:
            await site.text(record.TEXT)
        await site.entries(0, [*record.start(2), record.violation(2, "violated", level="violation")])
    for words in (["list"], ["show", "tlf-007-1"]):
        said = CliRunner().invoke(main, ["violations", *words, "--json", "--state-dir", str(tmp_path)], catch_exceptions=False)
        assert said.exit_code == 0, said.output
        assert "tlf-007-1" in json.dumps(json.loads(said.stdout))
