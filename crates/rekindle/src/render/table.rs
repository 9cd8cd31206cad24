//! Columns of text without borders.

use std::fmt::{self, Display, Formatter};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

/// How a column stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Align {
    /// Text.
    #[default]
    Left,
    /// Numbers.
    Right,
}

/// A header and rows, two spaces between columns.
#[derive(Debug)]
pub struct Grid {
    table: Table,
}

impl Grid {
    /// Lays them out; a column without an entry in `aligns` stands left.
    pub fn new(header: &[String], rows: &[Vec<String>], aligns: &[Align]) -> Self {
        let mut table = Table::new();
        table
            .load_style(NOTHING)
            .set_content_arrangement(ContentArrangement::Disabled)
            .force_no_tty()
            .set_header(header.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| one_line(cell)));
        }
        for (at, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if aligns.get(at) == Some(&Align::Right) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self { table }
    }

    /// The lines, the header first, without spaces at their ends.
    pub fn lines(&self) -> Vec<String> {
        self.table.lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl Display for Grid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// The width of the terminal behind stdout, if there is one.
pub fn terminal_width() -> Option<usize> {
    Table::new().width().map(usize::from)
}

/// A cell on one line: control characters could move the cursor.
fn one_line(cell: &str) -> String {
    cell.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let header = ["name", "n"].map(str::to_owned);
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long name".to_owned(), "23".to_owned()]];
        let grid = Grid::new(&header, &rows, &[Align::Left, Align::Right]);
        assert_eq!(grid.to_string(), "NAME        N\na           1\nlong name  23\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let grid = Grid::new(&["x".to_owned()], &[vec!["a\u{1b}[2Jb\nc".to_owned()]], &[]);
        assert_eq!(grid.to_string(), "X\na [2Jb c\n");
    }
}
