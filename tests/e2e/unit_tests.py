"""`weir test`: unit tests of models hold or fail as their rows say, and faulty ones are told with place and fix."""
from harness import Failure

CONTRACT = """apiVersion: v3.1.0
kind: DataContract
id: views
name: views
version: 1.0.0
status: active
servers:
  - {server: files, type: local, path: data, format: ndjson}
customProperties:
  - {property: weir.eventTime, value: seen}
  - {property: weir.lateness, value: PT1H}
  - {property: weir.identity, value: [id]}
schema:
  - name: views
    logicalType: object
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: seen, logicalType: timestamp, required: true}
      - {name: page, logicalType: string}
      - {name: seconds, logicalType: number}
      - {name: tags, logicalType: array, items: {logicalType: string}}
"""
MODELS = {
    "silver/pages.sql": "CREATE MATERIALIZED VIEW silver.pages AS\nSELECT page, count(*) AS views, avg(seconds) AS mean FROM bronze.views GROUP BY page;\n",
    "silver/recent.sql": "CREATE MATERIALIZED VIEW silver.recent AS\nSELECT id, page FROM bronze.views WHERE seen > watermark() - INTERVAL '1 hour';\n",
    "gold/best.sql": "CREATE MATERIALIZED VIEW gold.best AS\nSELECT max(views) AS most FROM silver.pages;\n",
    "gold/tags.sql": "CREATE MATERIALIZED VIEW gold.tags AS\nSELECT id, len(tags) AS tags, _extra ->> '$.app' AS app, _offset AS place FROM bronze.views;\n",
}
GOOD = """version: 2
unit_tests:
  - name: views are counted, whatever their order
    model: silver.pages
    given:
      - input: bronze.views
        rows:
          - {page: a, seconds: 1}
          - {page: b, seconds: 3}
          - {page: a, seconds: 2}
          - {page: a}
    expect:
      rows:
        - {page: b, views: 1, mean: 3}
        - {page: a, views: 3, mean: 1.5}
  - name: columns left out are not compared
    model: silver.pages
    given:
      - input: bronze.views
        format: csv
        rows: |
          page,seconds
          a,1

          "b, c",
    expect:
      format: csv
      rows: |
        page
        a
        "b, c"
  - name: rows of a model may be given
    model: gold.best
    given:
      - input: silver.pages
        rows: [{page: a, views: 7}, {page: b, views: 9}]
    expect: {rows: [{most: 9}]}
  - name: models between the rows and the model are computed
    model: gold.best
    given:
      - {input: bronze.views, rows: [{page: a}, {page: a}, {page: b}]}
    expect: {rows: [{most: 2}]}
  - name: rows leave as the watermark passes, and new ones come
    model: silver.recent
    given:
      - {input: bronze.views, rows: [{id: v1, seen: 2026-01-01T10:00:00Z}, {id: v2, seen: 2026-01-01 10:30}]}
    expect: {rows: []}
    then:
      - watermark: 2026-01-01T11:00:00Z
        expect: {rows: [{id: v2}]}
      - given: [{input: bronze.views, rows: [{id: v3, seen: 2026-01-01T11:15:00+00:00}]}]
        watermark: 2026-01-01T11:30:00Z
        expect: {rows: [{id: v3}]}
  - name: lists, what no contract declares, and offsets in order
    model: gold.tags
    given:
      - {input: bronze.views, rows: [{id: x, tags: [a, b], _extra: '{"app":"7"}'}, {id: y, tags: null}]}
    expect: {rows: [{id: x, tags: 2, app: "7", place: 0}, {id: y, tags: null, app: null, place: 1}]}
  - name: floats are near
    model: silver.pages
    tolerance: 0.01
    given: [{input: bronze.views, rows: [{page: a, seconds: 1}, {page: a, seconds: 1}, {page: a, seconds: 2}]}]
    expect: {rows: [{page: a, mean: 1.33}]}
"""


def make(folder, tests):
    for name, text in {"weir.yml": "name: unit\n", "contracts/views.odcs.yaml": CONTRACT,
                       **{"models/" + file: text for file, text in MODELS.items()},
                       **{"tests/" + file: text for file, text in tests.items()}}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_unit_tests_that_hold(t):
    project = make(t.dir / "p", {"good.yml": GOOD})
    done = t.weir("test", "--project", project)
    t.equal(done.out.splitlines()[-1], "7 passed, 0 failed", "the closing line")
    report = t.weir("test", "--project", project, "-o", "json").json
    t.equal((report["passed"], report["failed"], {x["status"] for x in report["tests"]}), (7, 0, {"passed"}), "the report")


def test_unit_tests_are_selected(t):
    project = make(t.dir / "p", {"good.yml": GOOD})
    for select, passed in (("gold.best", 2), ("Gold.*", 3), ("floats are near", 1), ("silver.recent,gold.tags", 2), ("tests/good*", 7)):
        done = t.weir("test", "--project", project, "--select", select)
        t.equal(done.out.splitlines()[-1], f"{passed} passed, 0 failed", f"--select {select}")
    done = t.weir("test", "--project", project, "--select", "nothing", code=1)
    t.contains(done.err, "no test fits --select nothing", "the message")


def test_unit_tests_that_fail_show_the_rows(t):
    wrong = GOOD.replace("{page: b, views: 1, mean: 3}", "{page: b, views: 2, mean: 3}").replace("[{id: v3}]", "[{id: v4}]").replace("mean: 1.33", "mean: 1.3")
    project = make(t.dir / "p", {"wrong.yml": wrong})
    done = t.weir("test", "--project", project, code=1)
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    t.equal(lines[-1], "4 passed, 3 failed", "the closing line")
    for line in ("- b 2 3.0", "+ b 1 3.0", "failed silver.recent rows leave as the watermark passes, and new ones come (tests/wrong.yml:51)",
                 "rows after step 3 of 3: - is expected and missing, + is there and not expected", "- v4", "+ v3"):
        if line not in lines:
            raise Failure(f"{line!r} is missing in\n{done.out}")
    report = t.weir("test", "--project", project, "-o", "json", code=1).json
    failed = [x for x in report["tests"] if x["status"] == "failed"]
    t.equal(failed[0]["missing"], [{"page": "b", "views": 2, "mean": 3.0}], "missing rows")
    t.equal(failed[0]["unexpected"], [{"page": "b", "views": 1, "mean": 3.0}], "unexpected rows")


# What stands in a file of one test -> what is said about it.
TEST = "unit_tests:\n  - name: t\n    model: silver.pages\n"
GIVEN = TEST + "    given:\n      - input: bronze.views\n        rows:\n"
BAD = {
    "unit_tests:\n\t- name: t\n": ("x.yml:2: this is not YAML", "indent with spaces, not with tabs"),
    "tests: []\n": ("x.yml:1: this is no file of unit tests", "begin with 'unit_tests:'"),
    TEST: ("x.yml:2: nothing is expected", "write 'expect:'"),
    TEST.replace("pages", "page") + "    expect: {rows: []}\n": ("x.yml:3: there is no model 'silver.page'", "did you mean silver.pages?"),
    TEST + "    expects: {rows: []}\n": ("x.yml:4: a test has no key 'expects'", "did you mean expect?"),
    TEST + "    expect: {rows: [{pag: a}]}\n": ("x.yml:4: the expected rows of silver.pages: there is no column 'pag'", "did you mean page?"),
    TEST + "    expect: {rows: [{views: many}]}\n": ('x.yml:4: the expected rows of silver.pages: "many" is no value of views, which is BIGINT', "write a whole number"),
    TEST + "    expect:\n      rows:\n        - {page: a, views: 1}\n        - {page: b}\n": ("x.yml:7: the expected rows of silver.pages: other rows say what 'views' is",
                                                                                        "write the same columns in every row"),
    TEST + "    given: [{input: bronze.view, rows: []}]\n    expect: {rows: []}\n": ("x.yml:4: there is no table 'bronze.view'", "did you mean bronze.views?"),
    TEST + "    given: [{input: silver.pages, rows: []}]\n    expect: {rows: []}\n": ("rows are given for the model that is tested", "give rows for the tables that it reads"),
    GIVEN + "          - {seen: noon}\n    expect: {rows: []}\n": ('x.yml:7: the rows of bronze.views: "noon" is no value of seen, which is TIMESTAMP WITH TIME ZONE', "write 2026-01-31T10:00:00Z"),
    GIVEN + "          - {tags: a}\n    expect: {rows: []}\n": ('x.yml:7: the rows of bronze.views: "a" is no value of tags', "write [a, b]"),
    GIVEN + "          - {id: a}\n          - {id: a}\n    expect: {rows: []}\n": ("x.yml:8: two rows of bronze.views have the same (id); the other is on line 7", "give each its own"),
    GIVEN.replace("rows:", "format: csv\n        rows: |") + "          id,page\n          a\n    expect: {rows: []}\n": (
        "x.yml:9: the rows of bronze.views: a record of 1 fields under 2 column names", "write a field for each column"),
    TEST + "    watermark: soon\n    expect: {rows: []}\n": ("x.yml:4: 'soon' is no time", "write 2026-01-31T10:00:00Z"),
    TEST + "    watermark: 2026-01-02\n    expect: {rows: []}\n    then: [{watermark: 2026-01-01, expect: {rows: []}}]\n": ("x.yml:6: a watermark never falls", "write a later time"),
}


def test_faulty_unit_tests_are_told(t):
    for i, (text, (message, fix)) in enumerate(BAD.items()):
        project = make(t.dir / f"p{i}", {"x.yml": text, "good.yml": GOOD})
        done = t.weir("test", "--project", project, code=1)
        t.contains(done.err, message, f"the fault of\n{text}")
        t.contains(done.err, fix, f"the fix of\n{text}")
        t.equal(done.out.splitlines()[-1], "7 passed, 0 failed", "the others")


def test_a_project_without_unit_tests_says_so(t):
    done = t.weir("test", "--project", make(t.dir / "p", {}), code=1)
    t.contains(done.err, "write some into tests/*.yml", "the message")
