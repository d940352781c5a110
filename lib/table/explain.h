// "Which backend, and why": what a worker would do with a packet of one flow, in words. Runs the
// code that the pipeline runs (FrontendTable, HashFlow, BuildMaglev, ExplainBackend) on the
// snapshot, so that an answer cannot differ from the forwarding. Used by fairleadd (/v1/explain)
// and by `fairctl explain --snapshot`. explain_json.h has its JSON form.
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

// A flow's record as the dataplane reported it (link/message.h, FlowMessage).
struct ExplainRecord {
  uint32_t backend_id = 0;
  uint32_t age_ms = 0;  // since last seen
  uint8_t flags = 0;    // RecordFlags
};

// The flow's slot as the dataplane reported it. Without: settled, on the owner that the snapshot
// gives it.
struct ExplainSlot {
  SlotState state = SlotState::kSettled;
  uint32_t current_id = 0;  // of backends; 0 = nobody
  uint32_t stable_id = 0;
};

struct Explanation {
  Verdict verdict = Verdict::kToKernel;        // kForward, kDrop or kToKernel
  DropReason drop_reason = DropReason::kNone;  // unless kDrop
  FlowHash hash;                               // of the reduced key; meaningful with a service
  std::string service;                         // empty: no service
  std::optional<ForwardingMode> forwarding;    // the service's
  uint32_t slot = kNoIndex;                    // kNoIndex: no service
  uint32_t slot_count = 0;
  SlotState slot_state = SlotState::kSettled;
  SelectReason reason = SelectReason::kNoBackend;
  std::optional<Endpoint> backend;
  std::optional<SnapshotNextHop> next_hop;             // the backend's
  std::optional<ExplainRecord> record;                 // as given
  std::optional<Endpoint> recorded_backend;            // the record's, if it still exists
  std::vector<std::pair<Endpoint, LeftOut>> left_out;  // of the service
  std::string why;                                     // one or two plain sentences
};

class Explainer {
 public:
  // Copies what it needs of `snapshot`: the one service that `key` is for, whose slots it computes
  // (milliseconds). Fails when that service cannot be built (ForwardingTables::Build says why).
  static Result<Explainer> Make(const SnapshotView& snapshot, const FlowKey& key,
                                const LeftOutBackends& left_out = {});

  // Where the dataplane would keep this flow's record; nothing when the flow is not recorded.
  std::optional<RecordKey> record_key() const;
  uint32_t service_id() const;  // 0: no service

  // For an ordinary packet of the flow: one that carries it on when there is a record, one that
  // opens it (SYN) when there is none.
  Explanation Explain(const std::optional<ExplainRecord>& record,
                      const std::optional<ExplainSlot>& slot) const;

 private:
  Explainer() = default;
  Status LookForReply(const SnapshotView& snapshot);
  Explanation ExplainWithoutService() const;
  // `slot` as a word of this service's tables.
  uint32_t WordOf(const ExplainSlot& slot) const;

  // A packet to nobody's frontend: the kernel's, or a reply through nat.
  Explanation ExplainReply() const;

  FlowKey key_;
  FlowHash hash_;
  bool is_frontend_address_ = false;
  SnapshotImage image_;  // of the one service
  LeftOutBackends left_out_;
  std::unique_ptr<ForwardingTables> tables_;  // null: no service
  std::string reply_service_;  // that translates replies, whose backend the source is; empty: none
  ForwardingMode reply_mode_ = {};  // its
  Endpoint reply_frontend_;         // what the source becomes
};

}  // namespace fairlead
