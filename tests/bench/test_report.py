"""The tables of the benchmarks, from figures that are made up."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from report import BEGIN, END, check, grid, number, targets, write, written  # noqa: E402  (the path to it has just been set)


def figure(rate, cpu, peak, of=None, cpu_of=None):
    return dict(rate=rate, events=1.0, cpu=cpu, peak=peak, of=of or {}, cpu_of=cpu_of or {})


ROWS = {
    "export raw none 10 KiB": [figure(1_292.6, 1.07, 62.9, dict(write=value)) for value in (0.7, 0.9, 0.8)],
    "export avro zstd 100 B": [figure(111.2, 12.71, 47.4)],
    "append 10 KiB": [figure(345, 2.24, 40.5, dict(sqlite=0.65))],
    "s3 raw none 10 KiB": [figure(400, 2, 60, dict(sdk=0.5), dict(sdk=2.33))],
}


class Tables(unittest.TestCase):
    def test_a_grid_has_a_row_for_each_encoding_and_a_column_for_each_event_size(self):
        self.assertEqual(
            grid("export", "local -> dir", ROWS).splitlines(),
            [
                "| export, local -> dir | 100 B | 1 KiB | 10 KiB | 1 MiB |",
                "| --- | ---: | ---: | ---: | ---: |",
                "| raw |  |  | 1,293; 1.07; 62.9 |  |",
                "| avro zstd | 111; 12.7; 47.4 |  |  |  |",
            ],
        )
        self.assertIn("| all |  |  | 345; 2.24; 40.5 |  |", grid("append", "lines -> local", ROWS))
        self.assertIsNone(grid("import", "dir -> local", ROWS))

    def test_targets_are_told_as_they_are_checked(self):
        lines = targets(ROWS).splitlines()[2:]
        self.assertEqual(lines[0], "| export raw, of write and fsync | 0.80 (0.70 to 0.90) | 0.8 at least | reached |")
        self.assertEqual(lines[1], "| append, of SQLite | 0.65 (0.65 to 0.65) | 0.7 at least | missed |")
        self.assertTrue(lines[2].startswith("| s3 raw, CPU beside the SDK set as Sluice's | 2.33"), lines[2])
        self.assertEqual([line.endswith("| reached |") for line in lines], [reached for _, reached in check(ROWS)])

    def test_only_what_stands_between_the_marks_is_written_anew(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "RESULTS.md"
            path.write_text(f"before\n{BEGIN}\nold\n{END}\nbehind\n")
            for _ in range(2):
                write(path, written(ROWS, "abc1234", "3 rounds."))
                text = path.read_text()
                self.assertTrue(text.startswith(f"before\n{BEGIN}\n\nMeasured at `abc1234`: 3 rounds."), text)
                self.assertTrue(text.endswith(f"| missed |\n\n{END}\nbehind\n"), text)
            path.write_text("no marks\n")
            with self.assertRaises(SystemExit):
                write(path, "text")
            self.assertEqual(path.read_text(), "no marks\n")

    def test_numbers_have_three_digits(self):
        self.assertEqual([number(value) for value in (1_292.6, 111.2, 12.71, 1.07, None)], ["1,293", "111", "12.7", "1.07", ""])


if __name__ == "__main__":
    unittest.main()
