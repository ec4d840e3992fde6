"""A package: made of a registered type, and opened again with every check there is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from moltler.catalog.build import Check
from moltler.errors import PackageError, Source, error_class
from moltler.lang import ast
from moltler.lang.parser import parse
from moltler.lint.credentials import find_credential
from moltler.model import ConnectorType, StoredTest
from moltler.registry.archive import (
    SIGNATURE,
    SUFFIX,
    SUMS,
    check_sums,
    digest,
    pack,
    sums_of,
    unpack,
)
from moltler.registry.definitions import (
    properties,
    read_definition,
    without_places,
    write_definition,
)
from moltler.registry.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    Evidence,
    Manifest,
    decode_manifest,
    described_actions,
    described_entities,
    encode_manifest,
    permissions_of,
)
from moltler.registry.readme import write_readme
from moltler.registry.semver import BadVersion, Version, parse_version
from moltler.registry.signing import PublicKey, check_signature, sign
from moltler.schema import JsonValue

README = "README.md"
CHANGELOG = "CHANGELOG.md"
_TEST_PATH = re.compile(r"tests/[^/]+\.sql")
_CASSETTE_PATH = re.compile(r"tests/cassettes/[^/]+/[^/]+\.json")


@dataclass(frozen=True, slots=True)
class About:
    """What the clauses of PACKAGE say."""

    version: Version
    description: str
    author: str
    license: str
    homepage: str | None = None
    repository: str | None = None
    tags: tuple[str, ...] = ()
    documentation: str | None = None
    changelog: str | None = None
    requires: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True)
class PackedTest:
    """A test as it goes into a package."""

    test: StoredTest
    cassette: bytes | None = None


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and what its owner calls it."""

    name: str
    private: str


@dataclass(frozen=True, slots=True)
class Package:
    """A package whose bytes have been checked against each other."""

    manifest: Manifest
    files: Mapping[str, bytes]
    content: bytes
    """The archive."""
    key: PublicKey | None
    """Whose signature it carries."""

    @property
    def sha256(self) -> str:
        """The digest of the archive."""
        return digest(self.content)

    @property
    def content_digest(self) -> str:
        """The digest of what is in it, whoever signed it."""
        return digest(self.files[SUMS])

    @property
    def version(self) -> Version:
        """Its version."""
        return parse_version(self.manifest.version)

    @property
    def root(self) -> str:
        """Its folder, ``shop-1.0.0``."""
        return root_of(self.manifest.name, self.manifest.version)

    @property
    def file_name(self) -> str:
        """What the archive is called."""
        return self.root + SUFFIX

    @property
    def changelog(self) -> str:
        """What its author says about the changes."""
        return self.files[CHANGELOG].decode("utf-8", "replace")

    @property
    def readme(self) -> str:
        """Its page."""
        return self.files[README].decode("utf-8", "replace")

    def has_content_of(self, other: Package) -> bool:
        """Tell whether two packages differ in nothing but their signature."""
        return self.content_digest == other.content_digest

    def definition(self, check: Check) -> ConnectorType:
        """Give the type that it defines; runs nothing.

        Raises:
            MoltlerError: PKG010, PKG002, or what is wrong with a definition.
        """
        definition = read_definition(self.root, self.files, check=check)
        if definition.name != self.manifest.name:
            raise _disagrees(self, "the name")
        if permissions_of(definition) != self.manifest.permissions:
            raise _disagrees(self, "the permissions")
        return definition

    def tests(self) -> tuple[PackedTest, ...]:
        """Give its tests.

        Raises:
            MoltlerError: PKG010, a file holds something else.
        """
        return tuple(self._test(path) for path in sorted(self.files) if _TEST_PATH.fullmatch(path))

    def _test(self, path: str) -> PackedTest:
        name = f"{self.root}/{path}"
        text = self.files[path].decode("utf-8", "replace")
        statements = parse(Source(name, text)).statements
        match statements:
            case (ast.TestDefinition() as test,) if (
                str(test.type_name).lower() == self.manifest.name.lower()
            ):
                cassette = self.files.get(cassette_file(path))
                return PackedTest(stored_test(test), cassette)
            case _:
                raise PackageError(
                    "PKG010",
                    f"`{path}` of the package is not one test of its type",
                    hint="tell whoever published it; nothing was installed",
                )


def root_of(name: str, version: str | Version) -> str:
    """Give the folder of a package."""
    return f"{name}-{version}"


def stored_test(test: ast.TestDefinition) -> StoredTest:
    """Give a test as a catalog keeps it."""
    span = test.span
    return StoredTest(
        test.name, test.tags, span.text, span.source.name, span.line, span.column, test.description
    )


def cassette_file(path: str) -> str:
    """Give where the cassette of a packed test lies."""
    stem = path.removeprefix("tests/").removesuffix(".sql")
    return f"tests/cassettes/{stem}.json"


def make_package(
    definition: ConnectorType,
    tests: Iterable[PackedTest],
    about: About,
    evidence: Evidence,
    signer: Signer | None = None,
) -> Package:
    """Pack a type; the same input gives the same bytes, whenever and wherever.

    Raises:
        PackageError: PKG003, it cannot be packed.
    """
    texts = write_definition(definition)
    texts[README] = write_readme(definition, about.description, about.documentation)
    changes = (about.changelog or "").strip("\n") or "The first version."
    texts[CHANGELOG] = f"# Changes of {definition.name} {about.version}\n\n{changes}\n"
    try:
        files = {path: text.encode() for path, text in texts.items()}
        for path, packed in _test_files(tests):
            files[path] = f"{packed.test.text};\n".encode()
            if packed.cassette is not None:
                files[cassette_file(path)] = packed.cassette
        manifest = _manifest(definition, about, evidence, files)
        files[MANIFEST] = encode_manifest(manifest)
    except UnicodeEncodeError as error:
        raise PackageError(
            "PKG003",
            f"type `{definition.name}` holds half a character: {error.object[error.start]!a}",
            hint="write the whole character",
        ) from error
    _refuse_credentials(files)
    files[SUMS] = sums_of(files)
    if signer is not None:
        files[SIGNATURE] = sign(files[SUMS], signer.private, signer.name)
    content = pack(root_of(definition.name, about.version), files)
    package = open_package(content)
    read = package.definition(lambda _handler, _entry: ())
    if without_places(read) != without_places(definition):
        raise error_class("INT001")(
            "INT001", f"the definition of `{definition.name}` does not read back as it is"
        )
    return package


def _refuse_credentials(files: Mapping[str, bytes]) -> None:
    """Refuse texts that look like credentials; those of handlers and tests are lint's."""
    for path in sorted(files):
        if path.startswith("handlers/") or _TEST_PATH.fullmatch(path):
            continue
        shown = find_credential(files[path].decode("utf-8", "replace"))
        if shown is not None:
            raise PackageError(
                "PKG003",
                f"`{path}` of the package would hold what looks like a credential ({shown})",
                hint="take it out; if it was real, replace it at the API as well",
            )


def _manifest(
    definition: ConnectorType, about: About, evidence: Evidence, files: Mapping[str, bytes]
) -> Manifest:
    return Manifest(
        FORMAT_VERSION,
        definition.name,
        str(about.version),
        about.description,
        about.author,
        about.license,
        permissions_of(definition),
        about.homepage,
        about.repository,
        about.tags,
        dict(about.requires or {}),
        dict(properties(definition.config_schema)),
        described_entities(definition),
        described_actions(definition),
        evidence,
        bool((about.changelog or "").strip()),
        {path: digest(files[path]) for path in sorted(files)},
    )


def _test_files(tests: Iterable[PackedTest]) -> Iterable[tuple[str, PackedTest]]:
    taken: set[str] = set()
    for packed in sorted(tests, key=lambda p: p.test.name):
        words = re.sub(r"[^A-Za-z0-9]+", "-", packed.test.name.lower(), flags=re.ASCII).strip("-")
        stem, number = words[:60] or "test", 1
        while stem in taken:
            number += 1
            stem = f"{words[:60] or 'test'}-{number}"
        taken.add(stem)
        yield f"tests/{stem}.sql", packed


def open_package(content: bytes, *, name: str | None = None) -> Package:
    """Open an archive and check everything that can be checked of it alone; runs nothing.

    Args:
        content: The archive.
        name: The type that it should be of.

    Raises:
        PackageError: PKG010, it is not safe; PKG002, it was changed; PKG008, it is too new.
    """
    root, files = unpack(content)
    check_sums(files)
    key = check_signature(files[SUMS], files[SIGNATURE]) if SIGNATURE in files else None
    for path in (MANIFEST, README, CHANGELOG):
        if path not in files:
            raise PackageError("PKG002", f"the package has no `{path}`", hint="get it again")
    manifest = decode_manifest(files[MANIFEST])
    package = Package(manifest, files, content, key)
    try:
        version = parse_version(manifest.version)
    except BadVersion as error:
        raise PackageError("PKG002", f"the package has a wrong version: {error}") from error
    if root != root_of(manifest.name, version):
        raise _disagrees(package, "its folder")
    sums = {p: digest(c) for p, c in files.items() if p not in {MANIFEST, SUMS, SIGNATURE}}
    if sums != manifest.files:
        raise _disagrees(package, "the list of files")
    if name is not None and name.lower() != manifest.name.lower():
        raise PackageError(
            "PKG002",
            f"the package is of `{manifest.name}`, and `{name}` was asked for",
            hint=f"ask for '{manifest.name}'",
        )
    return package


def _disagrees(package: Package, what: str) -> PackageError:
    return PackageError(
        "PKG002",
        f"`{MANIFEST}` of `{package.root}` disagrees with the package about {what}",
        hint="tell whoever published it; nothing was installed",
    )
