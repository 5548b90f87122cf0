// What was found is judged in two tables: the first while tunnels and routes are still looked up, the second after them. The first
// entry that matches says it, in the order in which v1model/pipeline.p4 asks.
#ifndef TNA_JUDGEMENT_P4
#define TNA_JUDGEMENT_P4

control EarlyJudgement(inout headers_t hdr, inout metadata_t meta) {
    @hidden action pass() { }

    @hidden action drop(drop_reason_t reason) {
        meta.verdict = verdict_t.DROP;
        meta.drop_reason = reason;
    }

    @hidden action hand_up() { meta.verdict = verdict_t.PUNT; }

    @hidden action report(drop_reason_t reason, punt_reason_t what) {
        meta.verdict = verdict_t.REPORT;
        meta.drop_reason = reason;
        meta.punt_reason = what;
    }

    @hidden
    table early_judgement {
        key = {
            meta.malformed               : ternary;
            meta.found.NOT_IP            : ternary;
            meta.found.LINK_DISCOVERY    : ternary;
            meta.from_controller         : ternary;
            meta.is_copy                 : ternary;
            meta.found.NOT_FOR_US        : ternary;
            meta.answered                : ternary;
            meta.own_address             : ternary;
            meta.is_tunnel               : ternary;
            meta.inner_malformed         : ternary;
            meta.signalling_colour       : ternary;
            meta.found.punted            : ternary;
            meta.found.SIGNALLING_DENIED : ternary;
            meta.found.ECN               : ternary;
            meta.found.SCOPE             : ternary;
            meta.hop_limit               : ternary;
        }
        actions = { pass; drop; hand_up; report; }
        const entries = {
            // malformed, not IP, LLDP, from the controller, a copy, not for us, answered, for us, a tunnel, malformed inside, rate,
            // punted, denied, ECN, scope, hops
            (true, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _) : drop(drop_reason_t.MALFORMED);
            (_, 1, 1, _, _, _, _, _, _, _, _, _, _, _, _, _) : report(drop_reason_t.NOT_IP, punt_reason_t.LINK_DISCOVERY);
            (_, 1, _, _, _, _, _, _, _, _, _, _, _, _, _, _) : drop(drop_reason_t.NOT_IP);
            (_, _, _, true, _, _, _, _, _, _, _, _, _, _, _, _) : pass();
            (_, _, _, _, true, _, _, _, _, _, _, _, _, _, _, _) : pass();
            (_, _, _, _, _, 1, _, _, _, _, _, _, _, _, _, _) : drop(drop_reason_t.NOT_FOR_US);
            (_, _, _, _, _, _, true, _, _, _, _, _, _, _, _, _) : pass();
            (_, _, _, _, _, _, _, true, true, true, _, _, _, _, _, _) : drop(drop_reason_t.MALFORMED);
            (_, _, _, _, _, _, _, _, _, _, METER_RED, _, _, _, _, _) : drop(drop_reason_t.SIGNALLING_RATE);
            (_, _, _, _, _, _, _, _, _, _, _, 1, _, _, _, _) : hand_up();
            (_, _, _, _, _, _, _, _, _, _, _, _, 1, _, _, _) : drop(drop_reason_t.SIGNALLING_DENIED);
            (_, _, _, _, _, _, _, true, false, _, _, _, _, _, _, _) : drop(drop_reason_t.SIGNALLING_DENIED);
            (_, _, _, _, _, _, _, _, _, _, _, _, _, 1, _, _) : drop(drop_reason_t.ECN);
            (_, _, _, _, _, _, _, _, _, _, _, _, _, _, 1, _) : drop(drop_reason_t.SCOPE);
            (_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, 0 &&& 0xfe) : report(drop_reason_t.HOP_LIMIT, punt_reason_t.HOP_LIMIT);
        }
        const default_action = pass();
        size = 16;
    }

    apply {
        early_judgement.apply();
    }
}

control LateJudgement(
        inout bridge_t bridge, inout headers_t hdr, inout metadata_t meta,
        inout ingress_intrinsic_metadata_for_deparser_t deparsed, inout ingress_intrinsic_metadata_for_tm_t manager) {
    @hidden action send() {
        bridge.forwarded = 1;
        manager.ucast_egress_port = meta.egress_port;
    }

    // Its hop limit becomes less once; the copies go round before they get a port.
    @hidden action send_copies() {
        bridge.forwarded = 1;
        manager.mcast_grp_a = meta.group_id;
    }

    // Its hop limit stays as it is.
    @hidden action send_as_it_is() { manager.ucast_egress_port = meta.egress_port; }

    @hidden action reject() { deparsed.drop_ctl = 1; }

    // Ingress has no step left to count it: it goes on to egress, without its outer header, and no further.
    @hidden action drop(drop_reason_t reason) {
        bridge.encapsulated = 0;
        bridge.verdict = (bit<8>)verdict_t.DROP;
        bridge.drop_reason = (bit<8>)reason;
        manager.ucast_egress_port = meta.ingress_port;
    }

    @hidden action hand_up() {
        bridge.encapsulated = 0;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = (bit<8>)meta.punt_reason;
        manager.ucast_egress_port = CPU_PORT;
    }

    @hidden action report() {
        bridge.encapsulated = 0;
        bridge.verdict = (bit<8>)verdict_t.REPORT;
        bridge.drop_reason = (bit<8>)meta.drop_reason;
        bridge.punt_reason = (bit<8>)meta.punt_reason;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = (bit<8>)meta.punt_reason;
        manager.ucast_egress_port = CPU_PORT;
    }

    @hidden action report_unreachable() {
        bridge.encapsulated = 0;
        bridge.verdict = (bit<8>)verdict_t.REPORT;
        bridge.drop_reason = (bit<8>)drop_reason_t.NO_ROUTE;
        bridge.punt_reason = (bit<8>)punt_reason_t.UNREACHABLE;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = (bit<8>)punt_reason_t.UNREACHABLE;
        manager.ucast_egress_port = CPU_PORT;
    }

    @hidden action report_tunnel_mtu() {
        bridge.encapsulated = 0;
        bridge.verdict = (bit<8>)verdict_t.REPORT;
        bridge.drop_reason = (bit<8>)drop_reason_t.TOO_BIG;
        bridge.punt_reason = (bit<8>)punt_reason_t.TOO_BIG;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = (bit<8>)punt_reason_t.TOO_BIG;
        hdr.packet_in.mtu = meta.tunnel_mtu;
        manager.ucast_egress_port = CPU_PORT;
    }

    @hidden action report_next_mtu() {
        bridge.verdict = (bit<8>)verdict_t.REPORT;
        bridge.drop_reason = (bit<8>)drop_reason_t.TOO_BIG;
        bridge.punt_reason = (bit<8>)punt_reason_t.TOO_BIG;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = (bit<8>)punt_reason_t.TOO_BIG;
        hdr.packet_in.mtu = meta.next_mtu;
        manager.ucast_egress_port = CPU_PORT;
    }

    @hidden action report_inner_mtu() {
        bridge.encapsulated = 0;
        bridge.verdict = (bit<8>)verdict_t.REPORT;
        bridge.drop_reason = (bit<8>)drop_reason_t.TOO_BIG;
        bridge.punt_reason = (bit<8>)punt_reason_t.TOO_BIG;
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)meta.ingress_port;
        hdr.packet_in.reason = (bit<8>)punt_reason_t.TOO_BIG;
        hdr.packet_in.mtu = meta.next_mtu |-| IPV6_HEADER_OCTETS;
        manager.ucast_egress_port = CPU_PORT;
    }

    @hidden
    table late_judgement {
        key = {
            meta.verdict                         : ternary;
            meta.found.UNREGISTERED_OUTER_SOURCE : ternary;
            meta.from_controller                 : ternary;
            meta.answered                        : ternary;
            meta.found.POLICY                    : ternary;
            meta.found.NO_BINDING                : ternary;
            meta.tunnel_colour                   : ternary;
            meta.found.NO_TUNNEL                 : ternary;
            meta.group_id                        : ternary;
            meta.found.NO_ROUTE                  : ternary;
            meta.encapsulated                    : ternary;
            meta.tunnel_room                     : ternary;
            meta.delivered                       : ternary;
            meta.is_copy                         : ternary;
            meta.next_room                       : ternary;
        }
        actions = {
            send; send_as_it_is; send_copies; reject; drop; hand_up;
            report; report_unreachable; report_tunnel_mtu; report_next_mtu; report_inner_mtu;
        }
        const entries = {
            // verdict, outer source, from the controller, answered, policy, unbound, rate, tunnel, group, route, encapsulated, room in
            // the tunnel, delivered, a copy, room in the next link
            (verdict_t.DROP, _, _, _, _, _, _, _, _, _, _, _, _, _, _) : reject();
            (verdict_t.PUNT, _, _, _, _, _, _, _, _, _, _, _, _, _, _) : hand_up();
            (_, 1, _, _, _, _, _, _, _, _, _, _, _, _, _) : drop(drop_reason_t.UNREGISTERED_OUTER_SOURCE);
            (verdict_t.REPORT, _, _, _, _, _, _, _, _, _, _, _, _, _, _) : report();
            (_, _, true, _, _, _, _, _, _, 1, _, _, _, _, _) : drop(drop_reason_t.NO_ROUTE);
            (_, _, true, _, _, _, _, _, _, _, _, _, _, _, _) : send_as_it_is();
            (_, _, _, true, _, _, _, _, _, _, _, _, _, _, _) : send_as_it_is();
            (_, _, _, _, 1, _, _, _, _, _, _, _, _, _, _) : drop(drop_reason_t.POLICY);
            (_, _, _, _, _, 1, _, _, _, _, _, _, _, _, _) : drop(drop_reason_t.NO_BINDING);
            (_, _, _, _, _, _, METER_RED, _, _, _, _, _, _, _, _) : drop(drop_reason_t.TUNNEL_RATE);
            (_, _, _, _, _, _, _, 1, _, _, _, _, _, _, _) : drop(drop_reason_t.NO_TUNNEL);
            (_, _, _, _, _, _, _, _, _, 1, _, _, _, _, _) : report_unreachable();
            (_, _, _, _, _, _, _, _, _, _, true, 0, _, _, _) : report_tunnel_mtu();
            (_, _, _, _, _, _, _, _, _, _, _, _, true, true, _) : send_as_it_is();
            (_, _, _, _, _, _, _, _, _, _, _, _, true, _, _) : send();
            (_, _, _, _, _, _, _, _, 0, _, true, _, _, _, 0) : report_inner_mtu();
            (_, _, _, _, _, _, _, _, 0, _, _, _, _, _, 0) : report_next_mtu();
            (_, _, _, _, _, _, _, _, _, _, _, _, _, true, _) : send_as_it_is();
            (_, _, _, _, _, _, _, _, 0, _, _, _, _, _, _) : send();
        }
        const default_action = send_copies();
        size = 32;
    }

    apply {
        late_judgement.apply();
    }
}

#endif
