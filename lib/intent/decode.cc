// Converts between JSON values and the model, by a table of fields for each kind of object.
// Declared in json.h, model.h and field.h.
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/utf8.h"
#include "lib/encap/tunnel.h"
#include "lib/intent/checks/check_json.h"
#include "lib/intent/field_table.h"
#include "lib/intent/json.h"
#include "lib/intent/min_healthy.h"
#include "lib/maglev/maglev_table.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

constexpr Word<HashPolicy> kHashWords[] = {{"5-tuple", HashPolicy::kFiveTuple},
                                           {"3-tuple", HashPolicy::kThreeTuple},
                                           {"source-ip", HashPolicy::kSourceIp}};
constexpr Word<Tracking> kTrackingWords[] = {
    {"adaptive", Tracking::kAdaptive}, {"all", Tracking::kAll}, {"none", Tracking::kNone}};
// For drop_too_big.
constexpr Word<bool> kTooBigWords[] = {{"cut", false}, {"drop", true}};
constexpr Word<FlowPolicy> kFlowPolicyWords[] = {{"release", FlowPolicy::kRelease},
                                                 {"keep", FlowPolicy::kKeep}};
constexpr Word<NoBackendPolicy> kNoBackendWords[] = {{"drop", NoBackendPolicy::kDrop},
                                                     {"reset", NoBackendPolicy::kReset}};
constexpr Word<CheckVia> kViaWords[] = {{"dataplane", CheckVia::kDataplane},
                                        {"direct", CheckVia::kDirect}};
constexpr Word<OutlierPolicy> kOutlierWords[] = {{"off", OutlierPolicy::kOff},
                                                 {"observe", OutlierPolicy::kObserve},
                                                 {"eject", OutlierPolicy::kEject}};
// For all_ports.
constexpr Word<bool> kCheckPortsWords[] = {{"first", false}, {"all", true}};

template <typename Enum, size_t kCount>
std::string_view NameOf(const Word<Enum> (&words)[kCount], Enum value) {
  for (const auto& word : words) {
    if (word.value == value) return word.text;
  }
  return "?";
}

// A JSON object whose fields are all known. The readers leave `out` unchanged if the field is
// missing.
class Fields {
 public:
  static Result<Fields> Open(const Json& object, std::string path, std::string_view what,
                             std::initializer_list<std::string_view> known,
                             std::span<const std::string_view> more = {}) {
    std::vector<std::string_view> names(known);
    names.insert(names.end(), more.begin(), more.end());
    RETURN_IF_ERROR(CheckObject(object, path, what, names));
    return Fields(object, std::move(path));
  }

  template <typename T>
  Status ReadInteger(std::string_view name, uint64_t min, uint64_t max, T* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    ASSIGN_OR_RETURN(const uint64_t number,
                     fairlead::ReadInteger(*value, JoinPath(path_, name), min, max));
    *out = static_cast<T>(number);
    return {};
  }

  Status ReadBool(std::string_view name, bool* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    ASSIGN_OR_RETURN(*out, ReadSwitch(*value, PathOf(name)));
    return {};
  }

  Status ReadText(std::string_view name, std::string* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    if (!value->is_string()) return RefuseValue(PathOf(name), *value, "is not text");
    if (!IsPrintableUtf8(value->get_ref<const std::string&>())) {
      return RefuseValue(PathOf(name), *value, "is not printable");
    }
    *out = value->get<std::string>();
    return {};
  }

  template <typename T>
  Status ReadDuration(std::string_view name, T* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    ASSIGN_OR_RETURN(*out, fairlead::ReadDuration(*value, JoinPath(path_, name)));
    return {};
  }

  template <typename Enum, size_t kCount, typename T>
  Status ReadWord(std::string_view name, const Word<Enum> (&words)[kCount], T* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    std::string_view texts[kCount];
    for (size_t i = 0; i < kCount; ++i) texts[i] = words[i].text;
    ASSIGN_OR_RETURN(const size_t index, fairlead::ReadWord(*value, JoinPath(path_, name), texts));
    *out = words[index].value;
    return {};
  }

  // Null: the field is missing.
  const Json* Find(std::string_view name) const {
    const auto found = object_->find(name);
    return found == object_->end() ? nullptr : &*found;
  }

  std::string PathOf(std::string_view name) const { return JoinPath(path_, name); }

 private:
  Fields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}

  const Json* object_;
  std::string path_;
};

Status ReadCheckType(const Fields& fields, const CheckType** type) {
  const Json* value = fields.Find("type");
  if (value == nullptr) return {};
  std::vector<std::string_view> names;
  for (const CheckType* each : CheckTypes()) names.push_back(each->name);
  ASSIGN_OR_RETURN(const size_t index, fairlead::ReadWord(*value, fields.PathOf("type"), names));
  *type = CheckTypes()[index];
  return {};
}

// The check type that `json` names, if there is such a type; else `fallback`.
const CheckType& TypeNamedBy(const Json& json, const CheckType& fallback) {
  const auto name = json.is_object() ? json.find("type") : json.end();
  const bool is_named = json.is_object() && name != json.end() && name->is_string();
  const CheckType* type = is_named ? FindCheckType(name->get_ref<const std::string&>()) : nullptr;
  return type == nullptr ? fallback : *type;
}

Result<Frontend> ReadFrontend(const Json& value, const std::string& path) {
  Result<Frontend> frontend = value.is_string()
                                  ? Frontend::Parse(value.get_ref<const std::string&>())
                                  : Result<Frontend>(InvalidArgument("not text"));
  if (frontend.ok()) return frontend;
  return RefuseValue(path, value,
                     "is not a frontend such as 203.0.113.10:80/tcp, "
                     "[2001:db8::10]:443/udp or 203.0.113.10:8000-8999/tcp");
}

Status ReadHealthCheck(const Json& json, const std::string& path, HealthCheck* check) {
  ASSIGN_OR_RETURN(const Fields fields,
                   Fields::Open(json, path, "health_check",
                                {"type", "interval", "timeout", "rise", "fall", "port", "ports",
                                 "via", "frontend"},
                                CheckMembers(TypeNamedBy(json, *check->type))));
  RETURN_IF_ERROR(ReadCheckType(fields, &check->type));
  ASSIGN_OR_RETURN(check->settings, ReadCheckSettings(*check->type, json, path));
  RETURN_IF_ERROR(fields.ReadDuration("interval", &check->interval_ms));
  RETURN_IF_ERROR(fields.ReadDuration("timeout", &check->timeout_ms));
  RETURN_IF_ERROR(fields.ReadInteger("rise", 1, kMaxRiseFall, &check->rise));
  RETURN_IF_ERROR(fields.ReadInteger("fall", 1, kMaxRiseFall, &check->fall));
  RETURN_IF_ERROR(fields.ReadInteger("port", 1, 65535, &check->port));
  RETURN_IF_ERROR(fields.ReadWord("ports", kCheckPortsWords, &check->all_ports));
  const Json* via = fields.Find("via");
  if (via != nullptr && !via->is_null()) {
    RETURN_IF_ERROR(fields.ReadWord("via", kViaWords, &check->via));
  }
  const Json* frontend = fields.Find("frontend");
  if (frontend == nullptr) return {};
  ASSIGN_OR_RETURN(check->frontend, ReadFrontend(*frontend, fields.PathOf("frontend")));
  return {};
}

Json HealthCheckToJson(const HealthCheck& check) {
  Json health_check = {{"type", check.type->name},
                       {"interval", FormatDurationMs(check.interval_ms)},
                       {"timeout", FormatDurationMs(check.timeout_ms)},
                       {"rise", check.rise},
                       {"fall", check.fall}};
  if (check.port != 0) health_check["port"] = check.port;
  if (check.via) health_check["via"] = NameOf(kViaWords, *check.via);
  if (check.frontend) health_check["frontend"] = check.frontend->ToString();
  if (check.port == 0) health_check["ports"] = NameOf(kCheckPortsWords, check.all_ports);
  WriteCheckSettings(*check.type, check.settings, &health_check);
  return health_check;
}

Status ReadAddress(const FieldInfo&, const Json& value, const std::string& path,
                   BackendSpec* backend) {
  const Result<IpAddress> address = value.is_string()
                                        ? IpAddress::Parse(value.get_ref<const std::string&>())
                                        : Result<IpAddress>(InvalidArgument("not text"));
  if (!address.ok()) return RefuseValue(path, value, "is not an IP address");
  backend->endpoint.address = *address;
  return {};
}

Json WriteAddress(const FieldInfo&, const BackendSpec& backend) {
  return backend.endpoint.address.ToString();
}

Status ReadPort(const FieldInfo& info, const Json& value, const std::string& path,
                BackendSpec* backend) {
  ASSIGN_OR_RETURN(const uint64_t port, ReadInteger(value, path, info.min, info.max));
  backend->endpoint.port = static_cast<uint16_t>(port);
  return {};
}

Json WritePort(const FieldInfo&, const BackendSpec& backend) {
  return backend.endpoint.port == 0 ? Json() : Json(backend.endpoint.port);
}

Status ReadMac(const FieldInfo&, const Json& value, const std::string& path, BackendSpec* backend) {
  const Result<MacAddress> mac = value.is_string()
                                     ? MacAddress::Parse(value.get_ref<const std::string&>())
                                     : Result<MacAddress>(InvalidArgument("not text"));
  if (!mac.ok()) return RefuseValue(path, value, "is not a MAC address such as 02:00:00:00:00:01");
  backend->mac = *mac;
  return {};
}

Json WriteMac(const FieldInfo&, const BackendSpec& backend) {
  return backend.mac.has_value() ? Json(backend.mac->ToString()) : Json();
}

constexpr Field<BackendSpec> kBackendFields[] = {
    {{.name = "address", .help = "its IP address", .values = "IP address", .is_required = true},
     ReadAddress,
     WriteAddress},
    {{.name = "port",
      .help = "another port than the frontend's, with forwarding nat",
      .kind = FieldKind::kNumber,
      .min = 1,
      .max = 65535,
      .default_text = "the frontend's"},
     ReadPort,
     WritePort},
    NumberField<&BackendSpec::weight>({.name = "weight",
                                       .help = "share of new flows; 0 = none",
                                       .max = kMaxWeight,
                                       .option = "--weight"}),
    {{.name = "mac",
      .help = "static next hop; packets leave by the port they arrived on",
      .values = "MAC address",
      .default_text = "from the kernel",
      .option = "--mac"},
     ReadMac,
     WriteMac},
    NumberField<&BackendSpec::vlan>({.name = "vlan",
                                     .help = "VLAN of the static next hop",
                                     .min = 1,
                                     .max = kMaxVlan,
                                     .default_text = "none",
                                     .option = "--vlan"}),
};

// An object, or an endpoint as text.
Status ReadBackend(const Json& json, const std::string& path, BackendSpec* backend) {
  if (json.is_object()) {
    return ReadFields<BackendSpec>(kBackendFields, json, path, "a backend", backend);
  }
  if (json.is_string()) {
    const Result<Endpoint> endpoint = Endpoint::Parse(json.get_ref<const std::string&>());
    if (endpoint.ok()) {
      backend->endpoint = *endpoint;
      return {};
    }
  }
  return RefuseValue(path, json, "is not a backend such as 10.0.0.11 or [2001:db8::11]:80");
}

Status ReadName(const FieldInfo&, const Json& value, const std::string& path,
                ServiceSpec* service) {
  if (!value.is_string()) return RefuseValue(path, value, "is not text");
  service->name = value.get_ref<const std::string&>();
  if (!IsPrintableUtf8(service->name)) return RefuseValue(path, value, "is not printable");
  return {};
}

Json WriteName(const FieldInfo&, const ServiceSpec& service) { return service.name; }

Status ReadFrontends(const FieldInfo&, const Json& value, const std::string& path,
                     ServiceSpec* service) {
  ASSIGN_OR_RETURN(const auto list, ReadList(value, path));
  for (size_t i = 0; i < list.size(); ++i) {
    ASSIGN_OR_RETURN(const Frontend frontend, ReadFrontend(list[i], IndexedPath(path, i)));
    service->frontends.push_back(frontend);
  }
  return {};
}

Json WriteFrontends(const FieldInfo&, const ServiceSpec& service) {
  Json frontends = Json::array();
  for (const Frontend& frontend : service.frontends) frontends.push_back(frontend.ToString());
  return frontends;
}

Status ReadBackends(const FieldInfo&, const Json& value, const std::string& path,
                    ServiceSpec* service) {
  ASSIGN_OR_RETURN(const auto list, ReadList(value, path));
  service->backends.reserve(list.size());
  for (size_t i = 0; i < list.size(); ++i) {
    RETURN_IF_ERROR(ReadBackend(list[i], IndexedPath(path, i), &service->backends.emplace_back()));
  }
  return {};
}

Json WriteBackends(const FieldInfo&, const ServiceSpec& service) {
  Json backends = Json::array();
  for (const BackendSpec& backend : service.backends) backends.push_back(BackendToJson(backend));
  return backends;
}

Status ReadCheck(const FieldInfo&, const Json& value, const std::string& path,
                 ServiceSpec* service) {
  return ReadHealthCheck(value, path, &service->health_check);
}

Json WriteCheck(const FieldInfo&, const ServiceSpec& service) {
  return HealthCheckToJson(service.health_check);
}

// The default TCP check would fail for a UDP service, so its default is no check.
void PrepareCheck(ServiceSpec* service) {
  if (IsUdpOnly(*service)) service->health_check.type = &kNoneCheck;
}

// The names of all modes. A test program replaces their list, so they are not constants.
std::span<const std::string_view> ForwardingNames() {
  static const std::vector<std::string_view> kNames = [] {
    std::vector<std::string_view> names;
    for (const ModeDescriptor* mode : Modes()) names.push_back(mode->name);
    return names;
  }();
  return kNames;
}

Status ReadForwarding(const FieldInfo&, const Json& value, const std::string& path,
                      ServiceSpec* service) {
  ASSIGN_OR_RETURN(const size_t index, ReadWord(value, path, ForwardingNames()));
  service->forwarding = static_cast<ForwardingMode>(index);
  return {};
}

Json WriteForwarding(const FieldInfo&, const ServiceSpec& service) {
  return ForwardingModeName(service.forwarding);
}

Json WriteGuePort(const FieldInfo&, const ServiceSpec& service) {
  const uint16_t of_mode = ModeOf(service.forwarding).default_gue_port;
  return service.gue_port.value_or(of_mode != 0 ? of_mode : kDefaultGuePort);
}

// A number, or a number or share as text.
Status ReadMinHealthy(const FieldInfo&, const Json& value, const std::string& path,
                      ServiceSpec* service) {
  const bool is_readable = value.is_number_integer() || value.is_string();
  const Result<MinHealthy> min =
      is_readable
          ? ParseMinHealthy(value.is_string() ? value.get_ref<const std::string&>() : value.dump())
          : InvalidArgument("is not " + std::string(kMinHealthyValues));
  if (!min.ok()) return RefuseValue(path, value, min.status().message());
  service->min_healthy = *min;
  return {};
}

Json WriteMinHealthy(const FieldInfo&, const ServiceSpec& service) {
  const MinHealthy& min = service.min_healthy;
  return min.percent != 0 ? Json(MinHealthyText(min)) : Json(min.count);
}

constexpr Field<ServiceSpec> GuePortField() {
  auto field = NumberField<&ServiceSpec::gue_port>({.name = "gue_port",
                                                    .help = "UDP port of the tunnel",
                                                    .min = 1,
                                                    .max = 65535,
                                                    .option = "--gue-port",
                                                    .setting = kGuePortSetting});
  field.write = WriteGuePort;
  return field;
}

constexpr Field<ServiceSpec> kServiceFields[] = {
    {{.name = "name",
      .help = "identifies it; cannot be changed",
      .values = "1 to 63 of a-z 0-9 . _ -",
      .is_required = true},
     ReadName,
     WriteName},
    {{.name = "frontends",
      .help = "what clients connect to",
      .values = "list of ADDRESS:PORT/tcp or /udp; PORT may be a range, or 0 for any",
      .is_required = true},
     ReadFrontends,
     WriteFrontends},
    {{.name = "forwarding",
      .help = "how packets reach the backends",
      .kind = FieldKind::kWord,
      .words = ForwardingNames,
      .option = "--forwarding"},
     ReadForwarding,
     WriteForwarding},
    GuePortField(),
    SwitchField<&ServiceSpec::gue_checksum>(
        {.name = "gue_checksum",
         .help = "fill in the outer UDP checksum, else zero (RFC 6935)",
         .option = "--gue-checksum",
         .opposite = "--no-gue-checksum",
         .setting = ModeSetting{"gue_checksum", kServiceGueChecksum}}),
    SwitchField<&ServiceSpec::second_chance>(
        {.name = "second_chance",
         .help = "name other owners in packets; needs fairlead-agent --peer",
         .option = "--second-chance",
         .opposite = "--no-second-chance",
         .setting = ModeSetting{"second_chance", kServiceSecondChance}}),
    SwitchField<&ServiceSpec::mss_clamp>(
        {.name = "mss_clamp",
         .help = "lower the MSS of SYN and SYN-ACK to what the ports' MTUs allow",
         .option = "--mss-clamp",
         .opposite = "--no-mss-clamp",
         .setting = ModeSetting{"mss_clamp", kServiceMssClamp}}),
    WordField<&ServiceSpec::drop_too_big, kTooBigWords>(
        {.name = "too_big",
         .help = "what to do with IPv4 packets without DF that are larger than the egress MTU",
         .option = "--too-big"}),
    WordField<&ServiceSpec::hash, kHashWords>(
        {.name = "hash", .help = "which part of a packet selects the backend", .option = "--hash"}),
    WordField<&ServiceSpec::tracking, kTrackingWords>(
        {.name = "tracking",
         .help = "record flows a change breaks, all or none",
         .default_text = "adaptive for TCP, all for UDP",
         .option = "--tracking"}),
    DurationField<&ServiceSpec::idle_timeout_ms>(
        {.name = "idle_timeout",
         .help = "a flow that is silent for this long counts as ended",
         .min = kMinIdleTimeoutMs,
         .max = kMaxIdleTimeoutMs,
         .default_text = "350s for TCP, 120s for UDP",
         .option = "--idle-timeout"}),
    DurationField<&ServiceSpec::drain_timeout_ms>({.name = "drain_timeout",
                                                   .help = "how long a drain lasts at most",
                                                   .max = kMaxDrainTimeoutMs,
                                                   .option = "--drain-timeout"}),
    WordField<&ServiceSpec::on_deadline, kFlowPolicyWords>(
        {.name = "on_deadline",
         .help = "what happens to the remaining flows at a drain's deadline",
         .option = "--on-deadline"}),
    WordField<&ServiceSpec::on_unhealthy, kFlowPolicyWords>(
        {.name = "on_unhealthy",
         .help = "what happens to an unhealthy backend's flows",
         .option = "--on-unhealthy"}),
    DurationField<&ServiceSpec::keep_unhealthy_ms>({.name = "keep_unhealthy",
                                                    .help = "with on_unhealthy keep: for how long",
                                                    .min = kMinKeepUnhealthyMs,
                                                    .max = kMaxKeepUnhealthyMs,
                                                    .option = "--keep-unhealthy"}),
    SwitchField<&ServiceSpec::fail_open>({.name = "fail_open",
                                          .help = "if all backends are unhealthy, use all of them",
                                          .option = "--fail-open",
                                          .opposite = "--fail-closed"}),
    {{.name = "min_healthy",
      .help = "with fewer healthy backends the service counts as down",
      .values = "number, or a share such as \"30%\"",
      .option = "--min-healthy"},
     ReadMinHealthy,
     WriteMinHealthy},
    DurationField<&ServiceSpec::slow_start_ms>(
        {.name = "slow_start",
         .help = "how long a backend that becomes healthy climbs to its weight",
         .max = kMaxSlowStartMs,
         .option = "--slow-start"}),
    WordField<&ServiceSpec::on_no_backend, kNoBackendWords>(
        {.name = "on_no_backend",
         .help = "no usable backend: drop, or refuse by TCP reset or ICMP error",
         .option = "--on-no-backend"}),
    WordField<&ServiceSpec::outlier, kOutlierWords>(
        {.name = "outlier",
         .help = "backends that leave many handshakes unanswered: ignore, show, eject",
         .option = "--outlier"}),
    {{.name = "health_check",
      .help = "how backends are checked",
      .values = "object",
      .default_text = "tcp; none where all frontends are UDP"},
     ReadCheck,
     WriteCheck,
     nullptr,
     PrepareCheck},
    {{.name = "backends",
      .help = "hosts that serve its clients",
      .values = "list of backends, each as text or as an object",
      .default_text = "none"},
     ReadBackends,
     WriteBackends},
};

constexpr Field<DrainRequest> kDrainFields[] = {
    DurationField<&DrainRequest::timeout_ms>({.name = "timeout",
                                              .help = "deadline of the drain",
                                              .max = kMaxDrainTimeoutMs,
                                              .default_text = "the service's drain_timeout",
                                              .option = "--timeout"}),
};

Status ReadServices(const FieldInfo&, const Json& value, const std::string& path,
                    IntentSpec* intent) {
  ASSIGN_OR_RETURN(const auto list, ReadList(value, path));
  for (size_t i = 0; i < list.size(); ++i) {
    RETURN_IF_ERROR(ReadFields<ServiceSpec>(kServiceFields, list[i], IndexedPath(path, i),
                                            "a service", &intent->services.emplace_back()));
  }
  return {};
}

constexpr Field<IntentSpec> kIntentFields[] = {
    NumberField<&IntentSpec::hash_seed>({.name = "hash_seed",
                                         .help = "the same on every balancer of the group",
                                         .max = UINT64_MAX}),
    {{.name = "services", .help = "all of them", .is_required = true}, ReadServices},
};

bool ShowsAll(const FieldInfo&) { return true; }

}  // namespace

Result<ServiceSpec> ServiceFromJson(const Json& json) {
  ServiceSpec service;
  RETURN_IF_ERROR(ReadFields<ServiceSpec>(kServiceFields, json, "", "a service", &service));
  RETURN_IF_ERROR(ValidateServiceAt(service, ""));
  NormalizeService(&service);
  return service;
}

Result<BackendSpec> BackendFromJson(const Json& json) {
  BackendSpec backend;
  RETURN_IF_ERROR(ReadBackend(json, "", &backend));
  return backend;
}

Result<DrainRequest> DrainFromJson(const Json& json) {
  DrainRequest drain;
  RETURN_IF_ERROR(ReadFields<DrainRequest>(kDrainFields, json, "", "a drain", &drain));
  RETURN_IF_ERROR(CheckFields<DrainRequest>(kDrainFields, drain, ""));
  return drain;
}

Result<IntentSpec> IntentFromJson(const Json& json) {
  IntentSpec intent;
  RETURN_IF_ERROR(ReadFields<IntentSpec>(kIntentFields, json, "", "an intent", &intent));
  RETURN_IF_ERROR(ValidateIntent(intent));
  for (ServiceSpec& service : intent.services) NormalizeService(&service);
  return intent;
}

Json BackendToJson(const BackendSpec& backend) {
  return WriteFields<BackendSpec>(kBackendFields, backend, ShowsAll);
}

Json ServiceToJson(const ServiceSpec& service) {
  return WriteFields<ServiceSpec>(kServiceFields, service, [&](const FieldInfo& info) {
    return !info.setting.has_value() || ModeOf(service.forwarding).Allows(*info.setting);
  });
}

Status CheckServiceFields(const ServiceSpec& service, std::string_view prefix) {
  return CheckFields<ServiceSpec>(kServiceFields, service, prefix);
}

Status CheckBackendFields(const BackendSpec& backend, std::string_view prefix) {
  return CheckFields<BackendSpec>(kBackendFields, backend, prefix);
}

const std::vector<FieldDescription>& ServiceFields() {
  static const auto kFields = DescribeFields<ServiceSpec>(kServiceFields);
  return kFields;
}

const std::vector<FieldDescription>& BackendFields() {
  static const auto kFields = DescribeFields<BackendSpec>(kBackendFields);
  return kFields;
}

const std::vector<FieldDescription>& DrainFields() {
  static const auto kFields = DescribeFields<DrainRequest>(kDrainFields);
  return kFields;
}

std::string_view ForwardingModeName(ForwardingMode mode) { return ModeOf(mode).name; }
std::string_view HashPolicyName(HashPolicy policy) { return NameOf(kHashWords, policy); }
std::string_view TrackingName(Tracking tracking) { return NameOf(kTrackingWords, tracking); }

}  // namespace fairlead
