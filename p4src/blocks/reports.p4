// Packets whose source should hear an ICMPv6 error: the controller writes it, if it wants to, and not too often.
#ifndef BLOCKS_REPORTS_P4
#define BLOCKS_REPORTS_P4

control Reports(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_METER_PACKETS(report_meter)
    DIRECT_COUNTER(report_counter)

    @id(0x01000050) action police() {
        COUNT(report_counter);
        METER(report_meter, meta.report_colour);
        meta.verdict = verdict_t.PUNT;
    }

    @id(0x01000051) action keep_quiet() {
        meta.verdict = verdict_t.DROP;
    }

    @id(0x02000050)
    table punt_policers {
        key = { meta.punt_reason : exact @id(1) @name("reason"); }
        actions = { police; @defaultonly keep_quiet; }
        const default_action = keep_quiet();
        size = SIZE_PUNT_POLICERS;
        TABLE_METER(report_meter)
        TABLE_COUNTER(report_counter)
    }

    apply {
        punt_policers.apply();
    }
}

#endif
