// Ways out of the pipeline, for actions of any block: the first one taken is the verdict.
#ifndef V1MODEL_VERDICTS_P4
#define V1MODEL_VERDICTS_P4

#define DROP(why)         meta.verdict = verdict_t.DROP; meta.drop_reason = drop_reason_t.why
#define PUNT(why)         meta.verdict = verdict_t.PUNT; meta.punt_reason = why
// Its source should hear of it: why it is dropped if the controller does not want to see it, and as what it does.
#define REPORT(why, what) meta.verdict = verdict_t.REPORT; meta.drop_reason = drop_reason_t.why; \
                          meta.punt_reason = punt_reason_t.what

#define HEADER_OCTETS     IPV6_HEADER_OCTETS
#define HEADER_LAST       (IPV6_HEADER_OCTETS - 1)

#endif
