// JSON as the messages need it: numbers, texts, lists and objects; NaN and Infinity as Python writes them.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace json {

struct Value {
  enum class Kind { kNull, kBool, kNumber, kText, kList, kObject };

  Kind kind = Kind::kNull;
  double number = 0;
  std::string text;
  std::vector<Value> items;
  std::vector<std::pair<std::string, Value>> members;

  // Returns a member; a null value where there is none.
  const Value& operator[](std::string_view name) const {
    static const Value kNothing;
    for (const auto& [key, value] : members) {
      if (key == name) return value;
    }
    return kNothing;
  }
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Value whole() {
    Value value = any();
    skip();
    if (at_ != text_.size()) fail();
    return value;
  }

 private:
  static constexpr int kDeepest = 64;

  Value any() {
    if (++depth_ > kDeepest) fail();
    skip();
    Value value;
    const char next = peek();
    if (next == '{') {
      value = object();
    } else if (next == '[') {
      value = list();
    } else if (next == '"') {
      value.kind = Value::Kind::kText;
      value.text = string();
    } else {
      value = word();
    }
    --depth_;
    return value;
  }

  Value object() {
    Value value;
    value.kind = Value::Kind::kObject;
    take('{');
    for (skip(); peek() != '}'; skip()) {
      if (!value.members.empty()) take(',');
      skip();
      std::string key = string();
      skip();
      take(':');
      value.members.emplace_back(std::move(key), any());
    }
    take('}');
    return value;
  }

  Value list() {
    Value value;
    value.kind = Value::Kind::kList;
    take('[');
    for (skip(); peek() != ']'; skip()) {
      if (!value.items.empty()) take(',');
      value.items.push_back(any());
    }
    take(']');
    return value;
  }

  Value word() {
    const std::pair<std::string_view, double> known[] = {
        {"NaN", std::numeric_limits<double>::quiet_NaN()},
        {"Infinity", std::numeric_limits<double>::infinity()},
        {"-Infinity", -std::numeric_limits<double>::infinity()},
    };
    Value value;
    if (starts("null")) return value;
    value.kind = Value::Kind::kBool;
    if (starts("false")) return value;
    value.number = 1;
    if (starts("true")) return value;
    value.kind = Value::Kind::kNumber;
    for (const auto& [name, number] : known) {
      value.number = number;
      if (starts(name)) return value;
    }
    const std::string rest(text_.substr(at_, 40));
    char* end = nullptr;
    value.number = std::strtod(rest.c_str(), &end);
    if (end == rest.c_str()) fail();
    at_ += static_cast<size_t>(end - rest.c_str());
    return value;
  }

  std::string string() {
    std::string found;
    take('"');
    while (peek() != '"') {
      const char next = text_[at_++];
      if (next != '\\') {
        found += next;
        continue;
      }
      escape(found);
    }
    take('"');
    return found;
  }

  void escape(std::string& found) {
    const char kind = peek();
    ++at_;
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kMeant = "\"\\/\b\f\n\r\t";
    if (kind == 'u') {
      uint32_t code = hex();
      // Python writes what lies beyond the first plane as two halves.
      if (code >= 0xD800 && code < 0xDC00 && starts("\\u")) code = 0x10000 + ((code - 0xD800) << 10) + (hex() - 0xDC00);
      append_utf8(found, code);
    } else {
      const size_t place = kNames.find(kind);
      if (place == std::string_view::npos) fail();
      found += kMeant[place];
    }
  }

  uint32_t hex() {
    if (text_.size() - at_ < 4) fail();
    const std::string digits(text_.substr(at_, 4));
    at_ += 4;
    return static_cast<uint32_t>(std::strtoul(digits.c_str(), nullptr, 16));
  }

  static void append_utf8(std::string& found, uint32_t code) {
    if (code < 0x80) {
      found += static_cast<char>(code);
      return;
    }
    const int extra = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static constexpr int kLead[] = {0, 0xC0, 0xE0, 0xF0};
    found += static_cast<char>(kLead[extra] | (code >> (6 * extra)));
    for (int part = extra - 1; part >= 0; --part) found += static_cast<char>(0x80 | ((code >> (6 * part)) & 0x3F));
  }

  char peek() const {
    if (at_ >= text_.size()) fail();
    return text_[at_];
  }

  void skip() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
  }

  void take(char wanted) {
    if (peek() != wanted) fail();
    ++at_;
  }

  bool starts(std::string_view wanted) {
    if (text_.substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }

  [[noreturn]] void fail() const { throw std::runtime_error("the JSON is damaged at byte " + std::to_string(at_)); }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

inline Value parse(std::string_view text) { return Parser(text).whole(); }

inline std::string quoted(std::string_view text) {
  std::string found = "\"";
  for (const char each : text) {
    const auto byte = static_cast<unsigned char>(each);
    if (each == '"' || each == '\\') {
      found += '\\';
      found += each;
    } else if (byte < 0x20 || byte >= 0x7F) {
      // What a driver says need not be UTF-8; its bytes are shown one by one.
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", byte);
      found += code;
    } else {
      found += each;
    }
  }
  return found + '"';
}

inline std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", value);
  return text;
}

}  // namespace json
