// Finds the word that was probably meant, for "did you mean". For short lists: it compares the word
// with each candidate.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace fairlead {

// Words longer than this have no nearest one.
inline constexpr size_t kMaxNearestBytes = 40;

// How many letters must be added, removed, replaced or exchanged with their neighbour to make `b`
// of `a` (optimal string alignment). REQUIRES at most kMaxNearestBytes each.
inline size_t EditDistance(std::string_view a, std::string_view b) {
  using Row = std::array<size_t, kMaxNearestBytes + 1>;
  Row before_last{};
  Row last{};
  Row row{};
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before_last = last;
    last = row;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const bool same = a[i - 1] == b[j - 1];
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

// The candidate nearest to `word`, if at most a third of its letters differ; else one that begins
// with `word`; else empty. `candidates`: a range of text.
template <typename Candidates>
std::string_view NearestWord(std::string_view word, const Candidates& candidates) {
  if (word.empty() || word.size() > kMaxNearestBytes) return {};
  std::string_view nearest;
  std::string_view longer;
  size_t least = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kMaxNearestBytes) continue;
    if (word.size() > 1 && longer.empty() && candidate.starts_with(word)) longer = candidate;
    const size_t distance = EditDistance(word, candidate);
    if (distance >= least || distance >= candidate.size()) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest.empty() ? longer : nearest;
}

// "; did you mean web?", or "" if no candidate is near.
template <typename Candidates>
std::string DidYouMean(std::string_view word, const Candidates& candidates) {
  const std::string_view nearest = NearestWord(word, candidates);
  return nearest.empty() ? "" : "; did you mean " + std::string(nearest) + "?";
}

}  // namespace fairlead
