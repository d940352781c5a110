// A check type that a test defines. Only tests include this file (tests/lint.py).
#pragma once

#include "lib/intent/checks/check_type.h"

namespace fairlead {

// Adds the type to CheckTypes() for its lifetime. REQUIRES that no other thread uses the list
// during construction and destruction.
class ScopedCheckType {
 public:
  explicit ScopedCheckType(const CheckType* type);
  ~ScopedCheckType();
  ScopedCheckType(const ScopedCheckType&) = delete;
  ScopedCheckType& operator=(const ScopedCheckType&) = delete;

 private:
  const CheckType* type_;
};

}  // namespace fairlead
