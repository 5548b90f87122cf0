// Lengths that lie would make us forward what is not there. Ingress works out how long the frame has to be, only egress knows how long
// it is.
#ifndef TNA_LENGTHS_P4
#define TNA_LENGTHS_P4

// What egress counts besides an IP packet: the bridge, an Ethernet header, and the frame check sequence.
const bit<16> FRAME_OCTETS         = 39 + 14 + 4;
const bit<16> VLAN_OCTETS          = 4;

// Below 20 octets.
#define IS_SHORT_IPV4  (hdr.ipv4.isValid() && hdr.ipv4.total_length[15:5] == 0 \
                        && (hdr.ipv4.total_length[4:4] == 0 || hdr.ipv4.total_length[3:2] == 0))

// Each step has its own condition, here and in the blocks: Tofino places what stands in nested ones one after the other.
control Lengths(inout headers_t hdr, inout metadata_t meta) {
    mtu_t carried;     // octets that a tunnel carries
    mtu_t promised;    // octets of the inner packet by its own header
    mtu_t excess;

    @hidden action accept_inner() { }

    @hidden action refuse_inner() { meta.inner_malformed = true; }

    @hidden
    table inner_lengths {
        key = { excess : exact; }
        actions = { accept_inner; @defaultonly refuse_inner; }
        const entries = { 0 : accept_inner(); }
        const default_action = refuse_inner();
        size = 1;
    }

    apply {
        if (meta.is_tunnel) {
            carried = hdr.ipv6.payload_length |-| meta.option_octets;
        }
        if (hdr.inner_ipv6.isValid()) {
            promised = hdr.inner_ipv6.payload_length |+| HEADER_OCTETS;
        } else {
            promised = hdr.ipv4.total_length;
        }
        if (hdr.ipv6.isValid() && IS_SHORT_IPV4) {
            meta.inner_malformed = true;
        }
        if (!hdr.ipv6.isValid() && IS_SHORT_IPV4) {
            meta.malformed = true;
        }
        excess = promised |-| carried;
        if (meta.own_address && meta.is_tunnel) {
            meta.frame_octets = carried |+| FRAME_OCTETS;
        } else if (hdr.ipv6.isValid() || meta.is_ipv4 == 1) {
            meta.frame_octets = meta.last |+| (FRAME_OCTETS + 1);
        }
        if (meta.is_tunnel) {
            inner_lengths.apply();
        }
        if (hdr.vlan.isValid()) {
            meta.frame_octets = meta.frame_octets |+| VLAN_OCTETS;
        }
    }
}

// Egress has the last word: on who may send through a tunnel, on what ingress found out too late to count it, on frames that are too
// short, and on reports above their rate.
control LastWord(inout bridge_t bridge, inout metadata_t meta, in bit<16> frame_octets, inout bit<3> drop_ctl) {
    @id(0x12000002) DROP_COUNTER(egress_drops)
    mtu_t missing;

    @hidden action accept() { }

    @hidden action refuse(drop_reason_t reason) {
        meta.drop_reason = reason;
        drop_ctl = 1;
    }

    // By ingress, or by a report that has no policer.
    @hidden action refuse_noted() {
        meta.drop_reason = (drop_reason_t)bridge.drop_reason;
        drop_ctl = 1;
    }

    @hidden
    table frames {
        key = {
            meta.found.FORGED_INNER_SOURCE : ternary;
            meta.verdict                   : ternary;
            meta.report_colour             : ternary;
            meta.found.NO_TUNNEL           : ternary;
            missing                        : ternary;
        }
        actions = { accept; refuse; refuse_noted; }
        const entries = {
            (1, _, _, _, _)              : refuse(drop_reason_t.FORGED_INNER_SOURCE);
            (_, verdict_t.DROP, _, _, _) : refuse_noted();
            (_, _, METER_RED, _, _)      : refuse(drop_reason_t.REPORT_RATE);
            (_, _, _, 1, _)              : refuse(drop_reason_t.NO_TUNNEL);
            (_, _, _, _, 0)              : accept();
        }
        const default_action = refuse(drop_reason_t.MALFORMED);
        size = 4;
    }

    apply {
        missing = bridge.octets |-| frame_octets;
        frames.apply();
        if (drop_ctl == 1) {
            COUNT_DROP(egress_drops, meta.drop_reason);
        }
    }
}

#endif
