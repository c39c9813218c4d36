"""What is a test, by its path."""

from __future__ import annotations

import pytest

from doctown.repository import is_test_path


@pytest.mark.parametrize(
    "path",
    [
        *("tests/a.py", "pkg/tests/helpers/x.py", "test_a.py", "a_test.py", "conftest.py", "app/tests.py"),
        *("src/a.test.ts", "src/a.spec.tsx", "src/__tests__/a.js", "cypress/a.cy.js", "spec/a.js", "e2e/a.ts"),
        *("tests/a.rs", "benches/b.rs", "src/tests.rs", "src/parser/parser_test.rs", "a_test.go", "testdata/x.go"),
        *("src/test/java/org/x/A.java", "src/main/java/FooTest.java", "FooIT.java", "src/integrationTest/kotlin/A.kt"),
        *("App.Tests/A.cs", "App.UnitTests/A.cs", "FooTests.cs", "spec/models/a_spec.rb", "a_spec.rb", "FooTest.php"),
        *("a_test.cc", "a_unittest.cpp", "test/a.c", "FooTests.swift", "a_test.dart", "ASpec.hs", "a_test.exs"),
    ],
)
def test_path_of_a_test(path: str) -> None:
    assert is_test_path(path)


@pytest.mark.parametrize(
    "path",
    [
        *("a.py", "sympy/testing/runtests.py", "latest.py", "contest.py", "attest/a.py", "protest.go", "src/spec/a.py"),
        *("Latest.java", "Contest.cs", "src/main/java/A.java", "test.py", "tests.ts", "benches/a.py", "inspect.ts"),
    ],
)
def test_path_of_no_test(path: str) -> None:
    assert not is_test_path(path)
