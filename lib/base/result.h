// Errors as values. `lib/` and `dataplane/` throw no exceptions. A function that can fail on bad
// input returns `Status` or `Result<T>`. The message names the field, the value and what to do.
// A programmer's error is a CHECK (check.h); a packet's error is a DropReason (counters/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "lib/base/check.h"

namespace fairlead {

enum class ErrorCode : uint8_t {
  kOk = 0,
  kInvalidArgument,  // the caller's input is wrong and will stay wrong
  kNotFound,
  kAlreadyExists,
  kFailedPrecondition,  // valid input, refused in the present state
  kResourceExhausted,
  kUnavailable,  // try again later
  kDataLoss,     // stored or received bytes are damaged
  kInternal,
  kStaleRevision,  // it has changed since the caller read it
  kWrongOwner,     // another program owns it
  kHistoryGone,    // the requested revision is no longer kept, or does not exist yet
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {
    CHECK(code != ErrorCode::kOk);
  }

  bool ok() const { return code_ == ErrorCode::kOk; }
  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  ErrorCode code_ = ErrorCode::kOk;
  std::string message_;
};

inline Status InvalidArgument(std::string message) {
  return {ErrorCode::kInvalidArgument, std::move(message)};
}
inline Status NotFound(std::string message) { return {ErrorCode::kNotFound, std::move(message)}; }
inline Status AlreadyExists(std::string message) {
  return {ErrorCode::kAlreadyExists, std::move(message)};
}
inline Status FailedPrecondition(std::string message) {
  return {ErrorCode::kFailedPrecondition, std::move(message)};
}
inline Status ResourceExhausted(std::string message) {
  return {ErrorCode::kResourceExhausted, std::move(message)};
}
inline Status Unavailable(std::string message) {
  return {ErrorCode::kUnavailable, std::move(message)};
}
inline Status DataLoss(std::string message) { return {ErrorCode::kDataLoss, std::move(message)}; }
inline Status Internal(std::string message) { return {ErrorCode::kInternal, std::move(message)}; }

// Either a value or a failed Status. REQUIRES ok() before value access (checked).
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                                 // NOLINT: implicit
  Result(Status status) : status_(std::move(status)) { CHECK(!status_.ok()); }  // NOLINT: implicit

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& value() & {
    CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    CHECK(ok());
    return *value_;
  }
  T&& value() && {
    CHECK(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace fairlead

#define FAIRLEAD_CONCAT_INNER(a, b) a##b
#define FAIRLEAD_CONCAT(a, b) FAIRLEAD_CONCAT_INNER(a, b)

// Returns the Status of `expression` from the enclosing function if it failed.
#define RETURN_IF_ERROR(expression)                                 \
  do {                                                              \
    if (auto status_ = (expression); !status_.ok()) return status_; \
  } while (false)

// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot be in parentheses.
// `ASSIGN_OR_RETURN(auto x, F())`: x = value of F(), or return F()'s Status.
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_IMPL(FAIRLEAD_CONCAT(result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                  \
  if (!result.ok()) return result.status();                    \
  declaration = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)
