// A type of check that a test brings along. Only tests include this (tests/lint.py).
#pragma once

#include "lib/intent/checks/check_type.h"

namespace fairlead {

// The type is in CheckTypes() while this lives. REQUIRES that no other thread uses the list at its begin
// and end.
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
