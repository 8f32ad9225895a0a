from vivace.evaluation.published_rows import published_tables, table_rows, tables_of
from vivace.evaluation.report.published_section import published_section
from vivace.evaluation.suites import javisbench, seed_tts, verse_bench

COLUMNS = {
    **{f"verse-bench-{name}": columns for name, columns in verse_bench.COLUMNS.items()},
    **{f"seed-tts-{name}": columns for name, columns in seed_tts.COLUMNS.items()},
    "javisbench": javisbench.COLUMNS,
}


def test_every_table_names_its_source_and_fills_its_columns() -> None:
    for table in published_tables():
        assert table.source
        assert len({(row.model, str(row.details)) for row in table.rows}) == len(table.rows)
        assert all(len(row.values) == len(table.figures) for row in table.rows)


def test_figures_of_a_suites_protocol_are_columns_of_that_suite() -> None:
    known = [table for table in published_tables() if table.protocol in COLUMNS]
    assert {table.protocol for table in known} >= {"verse-bench-nava", "verse-bench-mova", "seed-tts-en"}
    for table in known:
        assert set(table.figures) <= {column.name for column in COLUMNS[table.protocol]}


def test_a_protocol_has_its_own_tables_alone() -> None:
    (nava,) = tables_of("verse-bench-nava-rewritten")
    assert nava.protocol == "verse-bench-nava"
    row = next(row for row in nava.rows if row.model == "NAVA")
    assert dict(zip(nava.figures, row.values, strict=True))["Sync-C"] == 7.7914
    assert tables_of("vivace-alive-style-2") == ()


def test_votes_of_each_pair_and_axis_are_all_votes() -> None:
    compared = [table for table in published_tables() if any("better" in name for name in table.figures)]
    assert {table.protocol for table in compared} == {"alive-bench-gsb", "mova-arena", "davinci-human-votes"}
    for table in compared:
        for row in table.rows:
            for first in range(0, len(row.values), 3):
                assert abs(sum(value or 0 for value in row.values[first : first + 3]) - 1) < 0.011


def test_the_arenas_elo_orders_models_as_its_votes_do() -> None:
    ratings, votes = tables_of("mova-arena")
    elo = {row.model: row.values[0] or 0 for row in ratings.rows}
    assert elo["MOVA"] == 1113.8
    won = {row.model: row.values[0] or 0 for row in votes.rows}
    assert sorted(won, key=won.__getitem__) == sorted(won, key=elo.__getitem__, reverse=True)


def test_a_report_shows_them_with_source_and_details() -> None:
    tables = [table.to_json() for table in tables_of("verse-bench-mova")]
    assert table_rows(tables[0])[4][0] == "MOVA-360p dual CFG (s_B 3.5)"
    assert table_rows(tables[0])[2][2] == "-"
    page = published_section({"published_rows": tables})
    assert "MOVA, Table 4" in page
    assert "4.269" in page
    assert published_section({}) == ""
