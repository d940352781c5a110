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
  std::string text;                                 // printable; each code point takes one column
  Colour colour = Colour::kNone;
};

enum class Align { kLeft, kRight };

// Prints a heading line, then one line for each row. Columns are as wide as their widest cell, with
// two spaces between them and none at the end of a line.
class Table {
 public:
  struct Column {
    std::string heading;
    Align align = Align::kLeft;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES one cell for each column.
  void Add(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  void Print(std::ostream& out, bool colour) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// `text` within the escape sequences of `colour` if `enabled`, else unchanged.
std::string Coloured(const std::string& text, Colour colour, bool enabled);

}  // namespace fairlead::fairctl
