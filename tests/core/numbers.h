/// Node numbers differ from run to run; texts are compared with 1, 2, ... in their place.
#pragma once

#include <map>
#include <regex>
#include <string>

namespace tenet::test {

/// Replaces the numbers in " #12" and in Graphviz's "n12" by their ranks.
inline std::string renumbered(const std::string& text) {
  const std::regex pattern("( #|\\bn)([0-9]+)\\b");
  std::map<unsigned long long, int> ranks;
  const std::sregex_iterator begin(text.begin(), text.end(), pattern), end;
  for (auto match = begin; match != end; ++match) ranks[std::stoull((*match)[2])] = 0;
  int rank = 0;
  for (auto& [number, place] : ranks) place = ++rank;
  std::string result;
  size_t done = 0;
  for (auto match = begin; match != end; ++match) {
    const auto at = static_cast<size_t>(match->position());
    result += text.substr(done, at - done) + (*match)[1].str() +
              std::to_string(ranks[std::stoull((*match)[2])]);
    done = at + static_cast<size_t>(match->length());
  }
  return result + text.substr(done);
}

}  // namespace tenet::test
