// What was asked for on the command line? Pairs of --name value.
#pragma once
#include <cstdlib>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace powerinfer_check {

class Arguments {
 public:
  // `known`: the names that may be given, without their dashes. Throws std::invalid_argument for others.
  Arguments(int count, char** texts, const std::vector<std::string>& known) {
    for (int i = 1; i < count; i += 2) {
      const std::string name = texts[i];
      bool found = false;
      for (const std::string& one : known) found = found || name == "--" + one;
      if (!found) throw std::invalid_argument("there is no option " + name);
      if (i + 1 == count) throw std::invalid_argument(name + " needs a value");
      values_[name.substr(2)] = texts[i + 1];
    }
  }

  std::string text(const char* name, const std::string& otherwise = "") const {
    const auto found = values_.find(name);
    return found == values_.end() ? otherwise : found->second;
  }
  // Throws std::invalid_argument for what is no positive number.
  double number(const char* name, double otherwise) const {
    const std::string given = text(name);
    if (given.empty()) return otherwise;
    char* end = nullptr;
    const double value = std::strtod(given.c_str(), &end);
    if (*end != '\0' || !(value > 0)) throw std::invalid_argument("--" + std::string(name) + " is \"" + given + "\"; it must be a positive number");
    return value;
  }
  // Of values with commas between them.
  std::vector<std::string> list(const char* name, const std::string& otherwise) const {
    std::vector<std::string> parts;
    std::stringstream all(text(name, otherwise));
    for (std::string part; std::getline(all, part, ',');) parts.push_back(part);
    return parts;
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace powerinfer_check
