// The rows of lib/mode/modes.def. See lib/mode/mode_list.cc.
#include "dataplane/pipeline/rewrite_row.h"

#ifndef FAIRLEAD_MODES
#define FAIRLEAD_MODES "lib/mode/modes.def"
#endif

namespace fairlead {

#define FAIRLEAD_MODE(Name, number) extern const RewriteRow k##Name##Rewrite;
#include FAIRLEAD_MODES
#undef FAIRLEAD_MODE

const RewriteRow* const kRewriteRows[] = {
#define FAIRLEAD_MODE(Name, number) &k##Name##Rewrite,
#include FAIRLEAD_MODES
#undef FAIRLEAD_MODE
};

}  // namespace fairlead
