// Ways out of the pipeline, for actions of any block.
#ifndef COMMON_VERDICTS_P4
#define COMMON_VERDICTS_P4

#define DROP(why)  meta.verdict = verdict_t.DROP; meta.drop_reason = drop_reason_t.why
#define PUNT(why)  meta.verdict = verdict_t.PUNT; meta.punt_reason = why

#endif
