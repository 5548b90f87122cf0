// Lengths that lie would make us forward what is not there. Ingress works out how long the frame has to be, only egress knows how long
// it is.
#ifndef TNA_LENGTHS_P4
#define TNA_LENGTHS_P4

// What egress counts besides an IP packet: the bridge, an Ethernet header, and the frame check sequence.
const bit<16> FRAME_OCTETS         = 47 + 14 + 4;
const bit<16> VLAN_OCTETS          = 4;
const bit<16> TUNNEL_OPTION_OCTETS = 8;

control Lengths(inout headers_t hdr, inout metadata_t meta) {
    mtu_t carried;     // octets that a tunnel carries
    mtu_t excess;      // octets that the inner header promises beyond

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
        carried = hdr.ipv6.payload_length;
        if (hdr.tunnel_option.isValid()) {
            carried = hdr.ipv6.payload_length |-| TUNNEL_OPTION_OCTETS;
        }
        if (meta.own_address && meta.is_tunnel) {
            meta.frame_octets = carried |+| FRAME_OCTETS;
            excess = meta.octets |-| carried;
            inner_lengths.apply();
        } else if (hdr.ipv6.isValid() || meta.is_ipv4 == 1) {
            meta.frame_octets = meta.last |+| (FRAME_OCTETS + 1);
        }
        if (hdr.vlan.isValid()) {
            meta.frame_octets = meta.frame_octets |+| VLAN_OCTETS;
        }
        // Below 20.
        if (hdr.ipv4.isValid() && hdr.ipv4.total_length[15:5] == 0
            && (hdr.ipv4.total_length[4:4] == 0 || hdr.ipv4.total_length[3:2] == 0)) {
            if (hdr.ipv6.isValid()) {
                meta.inner_malformed = true;
            } else {
                meta.malformed = true;
            }
        }
    }
}

// Egress has the last word: a frame that is too short is malformed, and a report needs a policer that allows it.
control LastWord(inout bridge_t bridge, inout metadata_t meta, in bit<16> frame_octets, inout bit<3> drop_ctl) {
    @id(0x12000002) DROP_COUNTER(egress_drops)
    mtu_t missing;

    @hidden action accept() { }

    @hidden action refuse(drop_reason_t reason) {
        meta.drop_reason = reason;
        drop_ctl = 1;
    }

    @hidden action refuse_report() {
        meta.drop_reason = (drop_reason_t)bridge.drop_reason;
        drop_ctl = 1;
    }

    @hidden
    table frames {
        key = {
            missing              : ternary;
            bridge.verdict       : ternary;
            bridge.report_colour : ternary;
        }
        actions = { accept; refuse; refuse_report; }
        const entries = {
            (_, (bit<8>)verdict_t.DROP, _) : refuse_report();
            (_, _, (bit<8>)METER_RED)      : refuse(drop_reason_t.REPORT_RATE);
            (0, _, _)                      : accept();
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
