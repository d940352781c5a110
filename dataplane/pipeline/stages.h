// The stages of ProcessBurst, in order. Each expects what the ones before it left in the burst.
#pragma once

#include "dataplane/pipeline/pipeline.h"

namespace fairlead {

// Judges destination MACs and finds the headers. Sets packet, key; verdict other_mac or unreadable,
// else pending.
void ParseHeaders(PipelineContext& context, Burst& burst);

// Decides whose the packet is: the kernel's, a question to be answered, or a service's. Sets
// service, live, question.
void LookupServices(PipelineContext& context, Burst& burst);

// Hashes what is live and gives each packet its backend and egress port.
void SelectBackends(PipelineContext& context, Burst& burst);

// The first fragment of a datagram records its routing decision; later ones apply it, or wait. Adds
// to live and replies.
void FollowFragments(PipelineContext& context, Burst& burst);
// Applies to fragment `i`, parsed, the decision (not 0) that its datagram's first one recorded.
void ApplyDecision(PipelineContext& context, Burst& burst, uint32_t i, uint64_t decision);

// Records the decision about first fragment `i`, from a nat backend's address, for the later ones:
// they are to be translated as well, or the kernel's. REQUIRES context.fragments not null.
void RecordReplyDecision(PipelineContext& context, const Burst& burst, uint32_t i, bool translated);

// ICMP errors to frontends go to the backend of the flow that they are about. Adds to live.
void ForwardErrors(PipelineContext& context, Burst& burst);

// Whether packet `i`, to nobody's frontend, comes from a nat backend (or is an ICMP error about what
// nat sent there); then it is a reply, held, or dropped, and true is returned.
bool JudgeReply(PipelineContext& context, Burst& burst, uint32_t i);

// Gives replies their frontend's address and port.
void TranslateReplies(PipelineContext& context, Burst& burst);

// Turns each live packet into what leaves, by its service's mode (rewrite_row.h).
void Rewrite(PipelineContext& context, Burst& burst);

// Turns questions into their replies, in place.
void Answer(PipelineContext& context, Burst& burst);

}  // namespace fairlead
