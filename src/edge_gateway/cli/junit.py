"""JUnit's XML: suites of named tests with what each found; knows no verb."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET


def document(name: str, suites: Iterable[tuple[str, Sequence[tuple[str, Sequence[str]]]]]) -> str:
    """``suites`` are (name, [(test, what it found)]); a test that found nothing passed."""
    root = ET.Element("testsuites", name=name)
    for suite_name, tests in suites:
        failures = str(sum(bool(found) for _, found in tests))
        suite = ET.SubElement(root, "testsuite", name=suite_name, tests=str(len(tests)), failures=failures)
        for test_name, found in tests:
            test = ET.SubElement(suite, "testcase", classname=suite_name, name=_clean(test_name))
            if found:
                ET.SubElement(test, "failure", message=_clean(found[0])).text = _clean("\n".join(found))
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _clean(text: str) -> str:
    """Without what XML 1.0 cannot hold."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
