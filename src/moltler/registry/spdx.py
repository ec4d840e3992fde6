"""Licences by their SPDX identifiers."""

from __future__ import annotations

import re

_USUAL = frozenset({
    "0BSD", "AFL-3.0", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-2.0", "Artistic-2.0",
    "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "BSD-3-Clause-Clear", "BSD-4-Clause",
    "BSL-1.0", "BUSL-1.1", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "CDDL-1.0", "CDDL-1.1",
    "CECILL-2.1", "CPAL-1.0", "ECL-2.0", "Elastic-2.0", "EPL-1.0", "EPL-2.0", "EUPL-1.1",
    "EUPL-1.2", "GFDL-1.3-only", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only",
    "GPL-3.0-or-later", "ISC", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only",
    "LGPL-3.0-or-later", "LPPL-1.3c", "MIT", "MIT-0", "MPL-2.0", "MS-PL", "MS-RL", "MulanPSL-2.0",
    "NCSA", "ODbL-1.0", "OFL-1.1", "OSL-3.0", "PostgreSQL", "PSF-2.0", "Python-2.0", "QPL-1.0",
    "SSPL-1.0", "UPL-1.0", "Unlicense", "Vim", "W3C", "WTFPL", "X11", "Zlib", "ZPL-2.1",
})  # fmt: skip
_REFERENCE = re.compile(r"LicenseRef-[A-Za-z0-9.-]+")


def is_license(text: str) -> bool:
    """Tell whether a text is a licence expression of usual SPDX identifiers.

    >>> is_license("MIT"), is_license("MIT OR Apache-2.0"), is_license("ours")
    (True, True, False)
    """
    words = re.split(r"\s+(?:OR|AND)\s+", text.strip().strip("()"))
    return all(word in _USUAL or _REFERENCE.fullmatch(word) is not None for word in words)
