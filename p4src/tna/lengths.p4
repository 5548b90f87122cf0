// Lengths that lie would make us forward what is not there. Ingress works out how long the frame has to be, only egress knows how long
// it is.
#ifndef TNA_LENGTHS_P4
#define TNA_LENGTHS_P4

// What egress counts besides an IP packet: the bridge, an Ethernet header, and the frame check sequence.
const bit<16> FRAME_OCTETS         = 46 + 14 + 4;
const bit<16> VLAN_OCTETS          = 4;
const bit<16> TUNNEL_OPTION_OCTETS = 8;

control Lengths(inout headers_t hdr, inout metadata_t meta) {
    mtu_t carried;     // octets that a tunnel carries
    mtu_t excess;      // octets that the inner header promises beyond

    action accept_inner() { }

    action refuse_inner() { meta.inner_malformed = true; }

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
        } else {
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

// The reasons are those of `drops`: a frame that is too short is malformed, a report that its policer does not allow exceeds its rate.
control FrameLength(inout bridge_t bridge, in bit<16> frame_octets, inout bit<3> drop_ctl) {
    Counter<bit<64>, bit<8>>(COUNT_DROP_REASONS, CounterType_t.PACKETS_AND_BYTES) egress_drops;
    mtu_t missing;

    action accept() { }

    action refuse(drop_reason_t reason) {
        egress_drops.count((bit<8>)reason);
        drop_ctl = 1;
    }

    @hidden
    table frame_lengths {
        key = {
            missing              : ternary;
            bridge.verdict       : ternary;
            bridge.report_colour : ternary;
        }
        actions = { accept; refuse; }
        const entries = {
            (_, (bit<8>)verdict_t.DROP, _) : refuse(drop_reason_t.NOT_IP);
            (_, _, METER_RED)              : refuse(drop_reason_t.REPORT_RATE);
            (0, _, _)                      : accept();
        }
        const default_action = refuse(drop_reason_t.MALFORMED);
        size = 4;
    }

    apply {
        missing = bridge.octets |-| frame_octets;
        frame_lengths.apply();
    }
}

#endif
