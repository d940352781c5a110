// Aligned tables for people.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace fairlead::fairctl {

enum class Colour { kNone, kGreen, kYellow, kRed, kBlue, kBold };

struct Cell {
  Cell(std::string cell_text, Colour cell_colour = Colour::kNone)  // NOLINT: implicit
      : text(std::move(cell_text)), colour(cell_colour) {}
  Cell(const char* cell_text) : text(cell_text) {}  // NOLINT: implicit
  std::string text;                                 // printable; one column a code point
  Colour colour = Colour::kNone;
};

enum class Align { kLeft, kRight };

// A heading line, then one line a row; columns as wide as their widest cell, two spaces between
// them, no space at a line's end.
class Table {
 public:
  struct Column {
    std::string heading;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES one cell a column.
  void Add(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  void Print(std::ostream& out, bool colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// `text` in `colour`'s escape sequences, or as it is.
std::string Coloured(const std::string& text, Colour colour, bool enabled);

}  // namespace fairlead::fairctl
