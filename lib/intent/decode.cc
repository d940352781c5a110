// JSON values <-> model. Declared in json.h.
#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <span>
#include <utility>
#include <vector>

#include "lib/base/utf8.h"
#include "lib/intent/json.h"
#include "lib/maglev/maglev_table.h"
#include "lib/mode/mode.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;

template <typename Enum>
struct Word {
  std::string_view text;
  Enum value;
};

constexpr Word<HashPolicy> kHashWords[] = {{"5-tuple", HashPolicy::kFiveTuple},
                                           {"3-tuple", HashPolicy::kThreeTuple},
                                           {"source-ip", HashPolicy::kSourceIp}};
constexpr Word<Tracking> kTrackingWords[] = {
    {"adaptive", Tracking::kAdaptive}, {"all", Tracking::kAll}, {"none", Tracking::kNone}};
// Of drop_too_big.
constexpr Word<bool> kTooBigWords[] = {{"cut", false}, {"drop", true}};
constexpr Word<FlowPolicy> kFlowPolicyWords[] = {{"release", FlowPolicy::kRelease},
                                                 {"keep", FlowPolicy::kKeep}};
constexpr Word<NoBackendPolicy> kNoBackendWords[] = {{"drop", NoBackendPolicy::kDrop},
                                                     {"reset", NoBackendPolicy::kReset}};
// Of all_ports.
constexpr Word<bool> kCheckPortsWords[] = {{"first", false}, {"all", true}};
constexpr Word<HealthCheckType> kCheckWords[] = {{"tcp", HealthCheckType::kTcp},
                                                 {"none", HealthCheckType::kNone}};

std::vector<Word<ForwardingMode>> ForwardingWords() {
  std::vector<Word<ForwardingMode>> words;
  for (const ModeDescriptor* mode : Modes()) {
    words.push_back({mode->name, static_cast<ForwardingMode>(words.size())});
  }
  return words;
}

template <typename Enum, size_t kCount>
std::string_view NameOf(const Word<Enum> (&words)[kCount], Enum value) {
  for (const auto& word : words) {
    if (word.value == value) return word.text;
  }
  return "?";
}

// The value as JSON, cut to what fits into a message.
std::string Shown(const Json& value) {
  constexpr size_t kMaxBytes = 80;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kMaxBytes) text = text.substr(0, kMaxBytes) + "...";
  return text;
}

Status Refuse(std::string path, const Json& value, std::string_view why) {
  if (path.empty()) path = "value";
  path.append(": ").append(Shown(value)).append(" ").append(why);
  return InvalidArgument(std::move(path));
}

std::string Join(const std::string& path, std::string_view field) {
  return path.empty() ? std::string(field) : path + "." + std::string(field);
}

std::string Indexed(const std::string& path, size_t index) {
  return path + "[" + std::to_string(index) + "]";
}

// One JSON object whose fields are all known. Readers leave `out` alone when the field is missing.
class Fields {
 public:
  static Result<Fields> Open(const Json& object, std::string path, std::string_view what,
                             std::initializer_list<std::string_view> known) {
    if (!object.is_object()) return Refuse(std::move(path), object, "is not an object");
    for (const auto& [name, value] : object.items()) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      std::string why = "belongs to no known field; " + std::string(what) + " has";
      for (const std::string_view candidate : known) why.append(" ").append(candidate);
      return Refuse(Join(path, PrintableName(name)), value, why);
    }
    return Fields(object, std::move(path));
  }

  const Json* Find(std::string_view name) const {
    const auto found = object_->find(name);
    return found == object_->end() ? nullptr : &*found;
  }
  std::string PathOf(std::string_view name) const { return Join(path_, name); }

  Result<const Json*> Need(std::string_view name) const {
    if (const Json* value = Find(name)) return value;
    return InvalidArgument(PathOf(name) + ": missing");
  }

  template <typename T>
  Status ReadInteger(std::string_view name, uint64_t min, uint64_t max, T* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    if (!value->is_number_integer()) return Refuse(PathOf(name), *value, "is not an integer");
    const bool negative = !value->is_number_unsigned() && value->template get<int64_t>() < 0;
    const auto number = negative ? 0 : value->template get<uint64_t>();
    if (negative || number < min || number > max) {
      return Refuse(PathOf(name), *value,
                    "is not within " + std::to_string(min) + ".." + std::to_string(max));
    }
    *out = static_cast<T>(number);
    return {};
  }

  Status ReadBool(std::string_view name, bool* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    if (!value->is_boolean()) return Refuse(PathOf(name), *value, "is neither true nor false");
    *out = value->get<bool>();
    return {};
  }

  template <typename T>
  Status ReadDuration(std::string_view name, T* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    constexpr std::string_view kWhy =
        "is not a duration: write a number and ms, s, m or h, such as \"30s\"";
    if (!value->is_string()) return Refuse(PathOf(name), *value, kWhy);
    const Result<uint32_t> duration = ParseDurationMs(value->get_ref<const std::string&>());
    if (!duration.ok()) return Refuse(PathOf(name), *value, kWhy);
    *out = *duration;
    return {};
  }

  // `words`: some Word's.
  template <typename Words, typename T>
  Status ReadWord(std::string_view name, const Words& words, T* out) const {
    const Json* value = Find(name);
    if (value == nullptr) return {};
    std::string choice;
    for (const auto& word : words) {
      if (value->is_string() && value->get_ref<const std::string&>() == word.text) {
        *out = word.value;
        return {};
      }
      choice.append(choice.empty() ? "" : " | ").append(word.text);
    }
    return Refuse(PathOf(name), *value, "is not one of " + choice);
  }

 private:
  Fields(const Json& object, std::string path) : object_(&object), path_(std::move(path)) {}

  // A field's name comes from outside: shown only as far as it is fit to print.
  static std::string PrintableName(const std::string& name) {
    return name.size() <= 60 && IsPrintableUtf8(name) ? name : "(name)";
  }

  const Json* object_;
  std::string path_;
};

Result<std::span<const Json>> ListAt(const Json& value, const std::string& path) {
  if (!value.is_array()) return Refuse(path, value, "is not a list");
  const auto& list = value.get_ref<const Json::array_t&>();
  return std::span<const Json>(list.data(), list.size());
}

Status ReadHealthCheck(const Json& json, const std::string& path, HealthCheck* check) {
  ASSIGN_OR_RETURN(const Fields fields,
                   Fields::Open(json, path, "health_check",
                                {"type", "interval", "timeout", "rise", "fall", "port", "ports"}));
  RETURN_IF_ERROR(fields.ReadWord("type", kCheckWords, &check->type));
  RETURN_IF_ERROR(fields.ReadDuration("interval", &check->interval_ms));
  RETURN_IF_ERROR(fields.ReadDuration("timeout", &check->timeout_ms));
  RETURN_IF_ERROR(fields.ReadInteger("rise", 1, kMaxRiseFall, &check->rise));
  RETURN_IF_ERROR(fields.ReadInteger("fall", 1, kMaxRiseFall, &check->fall));
  RETURN_IF_ERROR(fields.ReadInteger("port", 1, 65535, &check->port));
  return fields.ReadWord("ports", kCheckPortsWords, &check->all_ports);
}

Status ReadEndpointText(const Json& json, const std::string& path, Endpoint* endpoint) {
  if (json.is_string()) {
    Result<Endpoint> parsed = Endpoint::Parse(json.get_ref<const std::string&>());
    if (parsed.ok()) {
      *endpoint = *parsed;
      return {};
    }
  }
  return Refuse(path, json, "is not a backend such as 10.0.0.11 or [2001:db8::11]:80");
}

Status ReadBackendFields(const Fields& fields, BackendSpec* backend) {
  ASSIGN_OR_RETURN(const Json* address, fields.Need("address"));
  Result<IpAddress> parsed = address->is_string()
                                 ? IpAddress::Parse(address->get_ref<const std::string&>())
                                 : Result<IpAddress>(InvalidArgument("not text"));
  if (!parsed.ok()) return Refuse(fields.PathOf("address"), *address, "is not an IP address");
  backend->endpoint.address = *parsed;
  RETURN_IF_ERROR(fields.ReadInteger("port", 1, 65535, &backend->endpoint.port));
  RETURN_IF_ERROR(fields.ReadInteger("weight", 0, kMaxWeight, &backend->weight));
  RETURN_IF_ERROR(fields.ReadInteger("vlan", 1, kMaxVlan, &backend->vlan));
  const Json* mac = fields.Find("mac");
  if (mac == nullptr) return {};
  if (mac->is_string()) {
    if (Result<MacAddress> value = MacAddress::Parse(mac->get_ref<const std::string&>());
        value.ok()) {
      backend->mac = *value;
      return {};
    }
  }
  return Refuse(fields.PathOf("mac"), *mac, "is not a MAC address such as 02:00:00:00:00:01");
}

Status ReadBackend(const Json& json, const std::string& path, BackendSpec* backend) {
  if (!json.is_object()) return ReadEndpointText(json, path, &backend->endpoint);
  ASSIGN_OR_RETURN(const Fields fields, Fields::Open(json, path, "a backend",
                                                     {"address", "port", "weight", "mac", "vlan"}));
  return ReadBackendFields(fields, backend);
}

Status ReadFrontends(const Fields& fields, std::vector<Frontend>* frontends) {
  ASSIGN_OR_RETURN(const Json* json, fields.Need("frontends"));
  ASSIGN_OR_RETURN(const auto list, ListAt(*json, fields.PathOf("frontends")));
  for (size_t i = 0; i < list.size(); ++i) {
    Result<Frontend> frontend = list[i].is_string()
                                    ? Frontend::Parse(list[i].get_ref<const std::string&>())
                                    : Result<Frontend>(InvalidArgument("not text"));
    if (!frontend.ok()) {
      return Refuse(Indexed(fields.PathOf("frontends"), i), list[i],
                    "is not a frontend such as 203.0.113.10:80/tcp, [2001:db8::10]:443/udp or "
                    "203.0.113.10:8000-8999/tcp");
    }
    frontends->push_back(*frontend);
  }
  return {};
}

Status ReadName(const Fields& fields, std::string* name) {
  ASSIGN_OR_RETURN(const Json* json, fields.Need("name"));
  if (!json->is_string()) return Refuse(fields.PathOf("name"), *json, "is not text");
  *name = json->get_ref<const std::string&>();
  if (!IsPrintableUtf8(*name)) return Refuse(fields.PathOf("name"), *json, "is not printable");
  return {};
}

Status ReadService(const Json& json, const std::string& path, ServiceSpec* service) {
  ASSIGN_OR_RETURN(
      const Fields fields,
      Fields::Open(json, path, "a service",
                   {"name", "frontends", "forwarding", "gue_port", "gue_checksum", "second_chance",
                    "mss_clamp", "too_big", "hash", "tracking", "idle_timeout", "drain_timeout",
                    "on_deadline", "on_unhealthy", "keep_unhealthy", "health_check", "fail_open",
                    "on_no_backend", "backends"}));
  RETURN_IF_ERROR(ReadName(fields, &service->name));
  RETURN_IF_ERROR(ReadFrontends(fields, &service->frontends));
  RETURN_IF_ERROR(fields.ReadWord("forwarding", ForwardingWords(), &service->forwarding));
  RETURN_IF_ERROR(fields.ReadInteger("gue_port", 1, 65535, &service->gue_port));
  RETURN_IF_ERROR(fields.ReadBool("gue_checksum", &service->gue_checksum));
  RETURN_IF_ERROR(fields.ReadBool("second_chance", &service->second_chance));
  RETURN_IF_ERROR(fields.ReadBool("mss_clamp", &service->mss_clamp));
  RETURN_IF_ERROR(fields.ReadWord("too_big", kTooBigWords, &service->drop_too_big));
  RETURN_IF_ERROR(fields.ReadWord("hash", kHashWords, &service->hash));
  RETURN_IF_ERROR(fields.ReadWord("tracking", kTrackingWords, &service->tracking));
  RETURN_IF_ERROR(fields.ReadDuration("idle_timeout", &service->idle_timeout_ms));
  RETURN_IF_ERROR(fields.ReadDuration("drain_timeout", &service->drain_timeout_ms));
  RETURN_IF_ERROR(fields.ReadWord("on_deadline", kFlowPolicyWords, &service->on_deadline));
  RETURN_IF_ERROR(fields.ReadWord("on_unhealthy", kFlowPolicyWords, &service->on_unhealthy));
  RETURN_IF_ERROR(fields.ReadDuration("keep_unhealthy", &service->keep_unhealthy_ms));
  RETURN_IF_ERROR(fields.ReadBool("fail_open", &service->fail_open));
  RETURN_IF_ERROR(fields.ReadWord("on_no_backend", kNoBackendWords, &service->on_no_backend));
  // A TCP check of a UDP service would fail by default: such a service has none unless it asks for it.
  if (IsUdpOnly(*service)) service->health_check.type = HealthCheckType::kNone;
  if (const Json* check = fields.Find("health_check")) {
    RETURN_IF_ERROR(ReadHealthCheck(*check, fields.PathOf("health_check"), &service->health_check));
  }
  const Json* backends = fields.Find("backends");
  if (backends == nullptr) return {};
  ASSIGN_OR_RETURN(const auto list, ListAt(*backends, fields.PathOf("backends")));
  for (size_t i = 0; i < list.size(); ++i) {
    RETURN_IF_ERROR(ReadBackend(list[i], Indexed(fields.PathOf("backends"), i),
                                &service->backends.emplace_back()));
  }
  return {};
}

}  // namespace

Result<ServiceSpec> ServiceFromJson(const Json& json) {
  ServiceSpec service;
  RETURN_IF_ERROR(ReadService(json, "", &service));
  RETURN_IF_ERROR(ValidateServiceAt(service, ""));
  NormalizeService(&service);
  return service;
}

Result<BackendSpec> BackendFromJson(const Json& json) {
  BackendSpec backend;
  RETURN_IF_ERROR(ReadBackend(json, "", &backend));
  return backend;
}

Result<IntentSpec> IntentFromJson(const Json& json) {
  ASSIGN_OR_RETURN(const Fields fields,
                   Fields::Open(json, "", "an intent", {"hash_seed", "services"}));
  IntentSpec intent;
  RETURN_IF_ERROR(fields.ReadInteger("hash_seed", 0, UINT64_MAX, &intent.hash_seed));
  ASSIGN_OR_RETURN(const Json* services, fields.Need("services"));
  ASSIGN_OR_RETURN(const auto list, ListAt(*services, "services"));
  for (size_t i = 0; i < list.size(); ++i) {
    RETURN_IF_ERROR(ReadService(list[i], Indexed("services", i), &intent.services.emplace_back()));
  }
  RETURN_IF_ERROR(ValidateIntent(intent));
  for (ServiceSpec& service : intent.services) NormalizeService(&service);
  return intent;
}

Json BackendToJson(const BackendSpec& backend) {
  Json json = {{"address", backend.endpoint.address.ToString()}, {"weight", backend.weight}};
  if (backend.endpoint.port != 0) json["port"] = backend.endpoint.port;
  if (backend.mac) json["mac"] = backend.mac->ToString();
  if (backend.vlan) json["vlan"] = *backend.vlan;
  return json;
}

Json ServiceToJson(const ServiceSpec& service) {
  Json frontends = Json::array();
  for (const Frontend& frontend : service.frontends) frontends.push_back(frontend.ToString());
  Json backends = Json::array();
  for (const BackendSpec& backend : service.backends) backends.push_back(BackendToJson(backend));
  const HealthCheck& check = service.health_check;
  Json health_check = {{"type", NameOf(kCheckWords, check.type)},
                       {"interval", FormatDurationMs(check.interval_ms)},
                       {"timeout", FormatDurationMs(check.timeout_ms)},
                       {"rise", check.rise},
                       {"fall", check.fall}};
  if (check.port != 0) health_check["port"] = check.port;
  if (check.port == 0) health_check["ports"] = NameOf(kCheckPortsWords, check.all_ports);
  Json json = {{"name", service.name},
               {"frontends", std::move(frontends)},
               {"forwarding", ForwardingModeName(service.forwarding)},
               {"hash", HashPolicyName(service.hash)},
               {"drain_timeout", FormatDurationMs(service.drain_timeout_ms)},
               {"on_deadline", NameOf(kFlowPolicyWords, service.on_deadline)},
               {"on_unhealthy", NameOf(kFlowPolicyWords, service.on_unhealthy)},
               {"keep_unhealthy", FormatDurationMs(service.keep_unhealthy_ms)},
               {"fail_open", service.fail_open},
               {"on_no_backend", NameOf(kNoBackendWords, service.on_no_backend)},
               {"health_check", std::move(health_check)},
               {"backends", std::move(backends)}};
  const ModeDescriptor& mode = ModeOf(service.forwarding);
  for (const ModeSetting& setting : kModeSettings) {
    if (!mode.Allows(setting)) continue;
    const bool is_set = (ServiceFlagsOf(service) & setting.flag) != 0;
    json[setting.name] =
        setting.flag == 0 ? Json(service.gue_port.value_or(mode.default_port)) : Json(is_set);
  }
  json["too_big"] = NameOf(kTooBigWords, service.drop_too_big);
  if (service.tracking) json["tracking"] = TrackingName(*service.tracking);
  if (service.idle_timeout_ms) json["idle_timeout"] = FormatDurationMs(*service.idle_timeout_ms);
  return json;
}

std::string_view ForwardingModeName(ForwardingMode mode) { return ModeOf(mode).name; }
std::string_view HashPolicyName(HashPolicy policy) { return NameOf(kHashWords, policy); }
std::string_view TrackingName(Tracking tracking) { return NameOf(kTrackingWords, tracking); }

}  // namespace fairlead
