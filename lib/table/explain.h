// Explains which backend a worker would choose for a packet of one flow, and why. It runs the code
// of the pipeline (FrontendTable, HashFlow, BuildMaglev, ChooseWithoutRecording) on the snapshot, so that
// an answer cannot differ from the forwarding. fairleadd (/v1/explain) and `fairctl explain
// --snapshot` use it. explain_json.h makes the JSON form.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lib/counters/drop_reason.h"
#include "lib/counters/left_out.h"
#include "lib/flow/flow_table.h"
#include "lib/snapshot/builder.h"
#include "lib/snapshot/view.h"
#include "lib/table/forwarding_tables.h"
#include "lib/table/select.h"

namespace fairlead {

// A flow's record as reported by the dataplane (link/message.h, FlowMessage).
struct ExplainRecord {
  uint32_t backend_id = 0;
  uint32_t age_ms = 0;  // since last seen
  uint8_t flags = 0;    // RecordFlags
};

// The flow's slot as reported by the dataplane. Without a report, the slot counts as settled and
// its owner comes from the snapshot.
struct ExplainSlot {
  SlotState state = SlotState::kSettled;
  uint32_t current_id = 0;  // backend ids; 0 = no owner
  uint32_t stable_id = 0;
};

struct Explanation {
  Verdict verdict = Verdict::kToKernel;        // kForward, kDrop or kToKernel
  DropReason drop_reason = DropReason::kNone;  // kNone unless the verdict is kDrop
  FlowHash hash;                               // under the service's policy; 0: no service
  std::string service;                         // empty: no service
  std::optional<ForwardingMode> forwarding;    // the service's
  uint32_t slot = kNoIndex;                    // kNoIndex: no service
  uint32_t slot_count = 0;
  SlotState slot_state = SlotState::kSettled;
  SelectReason reason = SelectReason::kNoBackend;
  std::optional<Endpoint> backend;
  std::optional<SnapshotNextHop> next_hop;             // the backend's
  std::optional<ExplainRecord> record;                 // as passed to Explain
  std::optional<Endpoint> recorded_backend;            // the record's, if it still exists
  std::vector<std::pair<Endpoint, LeftOut>> left_out;  // backends of the service
  std::string why;                                     // one or two sentences
};

class Explainer {
 public:
  // Copies the service that `key` is for from `snapshot` and computes its slots, which takes
  // milliseconds. Fails if that service cannot be built, with the error of ForwardingTables::Build.
  static Result<Explainer> Make(const SnapshotView& snapshot, const FlowKey& key,
                                const LeftOutBackends& left_out = {});

  // The flow's key in the flow table; no value if the service does not record such flows.
  std::optional<RecordKey> record_key() const;
  uint32_t service_id() const;  // 0: no service

  // Explains a typical packet of the flow: one that continues it if there is a record, else one
  // that opens it (SYN).
  Explanation Explain(const std::optional<ExplainRecord>& record,
                      const std::optional<ExplainSlot>& slot) const;

 private:
  Explainer() = default;
  Status LookForReply(const SnapshotView& snapshot);
  Explanation ExplainWithoutService() const;
  // `slot` as a slot word of this service's tables.
  uint32_t WordOf(const ExplainSlot& slot) const;

  // A packet that is not for a frontend but is a reply through nat.
  Explanation ExplainReply() const;

  FlowKey key_;
  FlowHash hash_;
  bool is_frontend_address_ = false;
  SnapshotImage image_;  // contains the one service
  LeftOutBackends left_out_;
  std::unique_ptr<ForwardingTables> tables_;  // null: no service
  // The service that translates the flow's packets as replies of its backend; empty: none.
  std::string reply_service_;
  ForwardingMode reply_mode_ = {};  // that service's mode
  Endpoint reply_frontend_;         // the new source
};

}  // namespace fairlead
