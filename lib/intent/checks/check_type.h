// The types of health checks: one descriptor each, in its own file (tcp_check.cc), and one list of
// them (check_types.cc). A descriptor is what the intent and its texts need to know of a type:
// name, settings, rules, ports. The probe is in controlplane/observe/health/, in a file of the same
// name.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/result.h"
#include "lib/net/address.h"

namespace fairlead {

struct BackendSpec;
struct ServiceSpec;

// The value of a setting that only one check type has.
using CheckValue = std::variant<bool, uint64_t, std::string>;
// In the order of CheckType::fields.
using CheckSettings = std::vector<CheckValue>;

struct CheckField {
  enum class Kind : uint8_t { kFlag, kNumber, kText };
  // In JSON. A name with a dot, such as "tls.ca_file", is in a nested object: {"tls": {"ca_file":
  // ...}}. fairctl's option is --check-NAME, with dashes for dots and underscores.
  std::string_view name;
  std::string_view help;  // the option's help
  Kind kind = Kind::kText;
  std::string_view default_text = {};  // for kText
  uint64_t default_number = 0;         // for kNumber; for kFlag: 0 or 1
  uint64_t min = 0;                    // for kNumber
  uint64_t max = 0;
  std::span<const std::string_view> words = {};  // for kText: the values; empty: others decide
  // For kText: why the value is refused, such as "is not a path"; empty: it is allowed. Null: every
  // value is allowed.
  std::string_view (*refusal)(std::string_view text) = nullptr;
  // The path of a file of CA certificates. The control plane refuses a change to a file that it
  // cannot read (controlplane/core/rules.cc). Empty: none.
  bool is_ca_file = false;
};

// A failed probe, for its reason as text.
struct FailedCheck {
  int32_t detail;                 // CheckResult::detail
  const CheckSettings& settings;  // of the check, or the type's defaults if they are not known
  IpAddress address;              // that was probed
};

struct CheckType {
  std::string_view name;  // in JSON, and in sentences: "3 tcp checks of port 80 failed in a row"
  // Stored with verdicts, so a type's number never changes and is never used again. 0 is tcp.
  uint8_t number;
  bool probes = true;                       // false: backends are not checked, and count as healthy
  Protocol protocol = Protocol::kTcp;       // of the ports that it probes
  std::span<const CheckField> fields = {};  // in addition to those that every check has
  // Rules in addition to those of the fields. In messages, `path` is put before the field's name,
  // as in ValidateServiceAt and ValidateNewService (model.h). Null: none.
  Status (*validate)(const ServiceSpec& service, std::string_view path) = nullptr;
  Status (*validate_new)(const ServiceSpec& service, std::string_view path) = nullptr;
  // The ports to probe, ascending, each with its own probe; all must pass. {0}: one probe that
  // needs no port. Empty: no port to probe, so the backend counts as healthy.
  std::vector<uint16_t> (*ports)(const ServiceSpec& service, const BackendSpec& backend) = nullptr;
  // The reason of a failed probe as text. And for its `detail` (CheckResult): whether the
  // connection was refused because no server listens there.
  std::string (*failure_text)(const FailedCheck& failed) = nullptr;
  bool (*is_refused)(int32_t detail) = nullptr;
};

extern const CheckType kTcpCheck;
extern const CheckType kHttpCheck;
extern const CheckType kHttpsCheck;
extern const CheckType kUdpCheck;
extern const CheckType kGrpcCheck;
extern const CheckType kNoneCheck;

// In the order in which messages list them.
std::span<const CheckType* const> CheckTypes();
// Null: there is no such type.
const CheckType* FindCheckType(std::string_view name);
const CheckType* FindCheckType(uint8_t number);

CheckSettings DefaultCheckSettings(const CheckType& type);
// The value of the setting with this name. REQUIRES that `settings` are valid for the type, and that
// it has such a setting of type T.
template <typename T>
const T& CheckSetting(const CheckType& type, const CheckSettings& settings, std::string_view name) {
  for (size_t i = 0; i < type.fields.size(); ++i) {
    if (type.fields[i].name == name) return std::get<T>(settings.at(i));
  }
  CheckFailed(__FILE__, __LINE__, "the type has this setting");
}
// `prefix`: "services[0].health_check.".
Status ValidateCheckSettings(const CheckType& type, const CheckSettings& settings,
                             const std::string& prefix);

}  // namespace fairlead
