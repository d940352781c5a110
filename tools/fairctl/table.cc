#include "tools/fairctl/table.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "lib/base/check.h"

namespace fairlead::fairctl {
namespace {

const char* EscapeOf(Colour colour) {
  switch (colour) {
    case Colour::kGreen:
      return "\x1b[32m";
    case Colour::kYellow:
      return "\x1b[33m";
    case Colour::kRed:
      return "\x1b[31m";
    case Colour::kBlue:
      return "\x1b[36m";
    case Colour::kBold:
      return "\x1b[1m";
    case Colour::kNone:
      break;
  }
  return "";
}

// Counts code points: bytes that do not continue one.
size_t WidthOf(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

}  // namespace

std::string Coloured(const std::string& text, Colour colour, bool enabled) {
  if (!enabled || colour == Colour::kNone || text.empty()) return text;
  return EscapeOf(colour) + text + "\x1b[0m";
}

void Table::Add(std::vector<Cell> cells) {
  CHECK(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
}

void Table::Print(std::ostream& out, bool colour) const {
  std::vector<Cell> headings;
  std::vector<size_t> widths;
  for (const Column& column : columns_) {
    headings.emplace_back(column.heading, Colour::kBold);
    widths.push_back(WidthOf(column.heading));
  }
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], WidthOf(row[i].text));
  }
  const auto print_row = [&](const std::vector<Cell>& row) {
    size_t pending_spaces = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const size_t padding = widths[i] - WidthOf(row[i].text);
      if (columns_[i].align == Align::kRight) pending_spaces += padding;
      if (!row[i].text.empty()) {
        out << std::string(pending_spaces, ' ') << Coloured(row[i].text, row[i].colour, colour);
        pending_spaces = 0;
      }
      if (columns_[i].align == Align::kLeft) pending_spaces += padding;
      pending_spaces += 2;
    }
    out << '\n';
  };
  print_row(headings);
  for (const auto& row : rows_) print_row(row);
}

}  // namespace fairlead::fairctl
