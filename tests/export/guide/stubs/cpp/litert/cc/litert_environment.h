#pragma once
#include "litert/cc/litert_expected.h"

namespace litert {

class Environment {
 public:
  struct Option {};
  static Expected<Environment> Create(Span<const Option> options);
  Environment(Environment&&) = default;
};

}  // namespace litert
