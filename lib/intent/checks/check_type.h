// The types of health checks: one descriptor each, in a file of its own (tcp_check.cc), and one list
// of them (check_types.cc). A descriptor is what the intent and its texts need of a type: name,
// settings, rules, ports. How a probe is made is in controlplane/observe/health/, in a file of the
// same name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/result.h"

namespace fairlead {

struct BackendSpec;
struct ServiceSpec;

// The value of a setting that one type of check has alone.
using CheckValue = std::variant<bool, uint64_t, std::string>;
// In the order of CheckType::fields.
using CheckSettings = std::vector<CheckValue>;

struct CheckField {
  enum class Kind : uint8_t { kFlag, kNumber, kText };
  std::string_view name;  // in JSON; fairctl's option is --check-NAME
  std::string_view help;  // of that option
  Kind kind = Kind::kText;
  std::string_view default_text = {};  // of kText
  uint64_t default_number = 0;         // of kNumber; of kFlag: 0 or 1
  uint64_t min = 0;                    // of kNumber
  uint64_t max = 0;
  // Of kText: why the value is refused, such as "is not a path"; empty: it is not. Null: any will do.
  std::string_view (*refusal)(std::string_view text) = nullptr;
};

struct CheckType {
  std::string_view name;  // in JSON, and in sentences: "3 tcp checks of port 80 failed in a row"
  // Stored with verdicts: a number stays its type's for ever. 0 is tcp's.
  uint8_t number;
  bool probes = true;                       // false: backends are not checked, and count as healthy
  std::span<const CheckField> fields = {};  // beside those that every check has
  // Rules beyond those of the fields. `path` goes before the field's name in messages, as in
  // ValidateServiceAt and ValidateNewService (model.h). Null: none.
  Status (*judge)(const ServiceSpec& service, std::string_view path) = nullptr;
  Status (*judge_new)(const ServiceSpec& service, std::string_view path) = nullptr;
  // The ports to probe, ascending, each by a probe of its own; all must pass. {0}: one probe that
  // needs no port. Empty: there is none to probe, and the backend counts as healthy.
  std::vector<uint16_t> (*ports)(const ServiceSpec& service, const BackendSpec& backend) = nullptr;
  // Of a failed probe's `detail` (CheckVerdict): why, for people, and whether nobody listens there.
  std::string (*failure_text)(int32_t detail) = nullptr;
  bool (*is_refused)(int32_t detail) = nullptr;
};

extern const CheckType kTcpCheck;
extern const CheckType kNoneCheck;

// In the order in which messages list them.
std::span<const CheckType* const> CheckTypes();
// Null: there is none.
const CheckType* FindCheckType(std::string_view name);
const CheckType* FindCheckType(uint8_t number);

CheckSettings DefaultCheckSettings(const CheckType& type);
// `prefix`: "services[0].health_check.".
Status ValidateCheckSettings(const CheckType& type, const CheckSettings& settings,
                             const std::string& prefix);

}  // namespace fairlead
