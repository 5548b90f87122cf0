// The blocks in their order for a switch chip, which has few steps one after the other and much room in each: everything is looked
// up as early as its key is known, and judged when all is there.
#ifndef TNA_PIPELINE_P4
#define TNA_PIPELINE_P4

#include "../blocks/links.p4"
#include "../blocks/neighbours.p4"
#include "../blocks/signalling.p4"
#include "../blocks/decapsulation.p4"
#include "../blocks/steering.p4"
#include "../blocks/encapsulation.p4"
#include "../blocks/routing.p4"
#include "../blocks/reports.p4"
#include "lengths.p4"
#include "judgement.p4"

#define IS_TUNNEL_TO_US  (meta.own_address && meta.is_tunnel)
#define IS_STEERED       (meta.verdict == verdict_t.FORWARD && (meta.mobile || meta.is_copy) && !meta.answered && meta.group_id == 0)

control HomeAgent(inout headers_t hdr, inout metadata_t meta) {
    Links()          links;
    Neighbours()     neighbours;
    Advertisement()  advertisement;
    Stations()       stations;
    Signalling()     signalling_block;
    WholePacket()    whole_packet;
    TransitTunnel()  transit_tunnel;
    Lengths()        lengths;
    Terminations()   terminations;
    Senders()        senders;
    Marking()        marking;
    Unwrapping()     unwrapping;
    Nodes()          nodes;
    Steering()       steering;
    Balancing()      balancing;
    Rates()          rates;
    Encapsulation()  encapsulation;
    Routing()        routing;
    EarlyJudgement() early;
    DECLARE_FLOW_HASH(flow_hash)

    apply {
        if (!hdr.ipv6.isValid() && meta.is_ipv4 == 0) {
            links.apply(hdr, meta);
        }
        if (meta.from_controller || meta.is_copy) {
            whole_packet.apply(hdr, meta);
        } else {
            stations.apply(hdr, meta);
        }
        neighbours.apply(hdr, meta);
        transit_tunnel.apply(hdr, meta);
        FLOW_HASH(flow_hash, meta.flow_hash)
        if (!meta.from_controller && !meta.is_copy) {
            nodes.apply(hdr, meta);
        }
        if (meta.mobile) {
            steering.apply(hdr, meta);
        }
        if (meta.balance_id != 0) {
            balancing.apply(hdr, meta);
        }
        lengths.apply(hdr, meta);
        if (hdr.ipv6.isValid() && !meta.is_tunnel && !meta.from_controller && !meta.is_copy) {
            signalling_block.apply(hdr, meta);
        }
        if (IS_TUNNEL_TO_US) {
            terminations.apply(hdr, meta);
        }
        if (IS_TUNNEL_TO_US) {
            senders.apply(hdr, meta);
        }
        if (IS_TUNNEL_TO_US) {
            marking.apply(hdr, meta);
        }
        if (IS_MULTICAST(meta.destination) || IS_LINK_LOCAL(meta.destination) || IS_LINK_LOCAL(meta.source)) {
            meta.found.SCOPE = 1;
        }
        early.apply(hdr, meta);
        if (meta.answered) {
            advertisement.apply(hdr, meta);
        }
        if (IS_STEERED) {
            encapsulation.apply(hdr, meta);
        }
        if (IS_STEERED) {
            rates.apply(hdr, meta);
        }
        if (meta.verdict == verdict_t.FORWARD && !meta.delivered && meta.group_id == 0) {
            routing.apply(hdr, meta);
        }
        if (IS_TUNNEL_TO_US) {
            unwrapping.apply(hdr, meta);
        }
    }
}

control ChipIngress(
        inout bridge_t bridge, inout headers_t hdr, inout metadata_t meta,
        inout ingress_intrinsic_metadata_for_deparser_t deparsed, inout ingress_intrinsic_metadata_for_tm_t manager) {
    HomeAgent()     home_agent;
    LateJudgement() late;

    @id(0x12000001) DROP_COUNTER(drops)

    apply {
        bridge.forwarded = 0;
        bridge.encapsulated = 0;
        bridge.octets = 0;
        bridge.verdict = 0;
        bridge.drop_reason = 0;
        bridge.punt_reason = 0;
        bridge.unwrapped = 0;
        if (hdr.packet_out.isValid() && hdr.packet_out.routed == 0) {
            manager.ucast_egress_port = (port_t)hdr.packet_out.egress_port;
        } else {
            home_agent.apply(hdr, meta);
            bridge.octets = meta.frame_octets;
            bridge.flow_hash_high = 4w0 ++ meta.flow_hash[19:16];
            bridge.flow_hash_low = meta.flow_hash[15:0];
            bridge.path_id = meta.path_id;
            bridge.source_node = meta.source_node;
            bridge.node_id = meta.node_id;
            bridge.bid = meta.bid;
            bridge.home_agent_id = meta.home_agent_id;
            bridge.destination = meta.destination;
            if (meta.encapsulated) {
                bridge.encapsulated = 1;
            }
            if (IS_TUNNEL_TO_US && meta.found.UNREGISTERED_OUTER_SOURCE == 0) {
                bridge.unwrapped = 1;
            }
            if (meta.verdict == verdict_t.DROP) {
                COUNT_DROP(drops, meta.drop_reason);
            }
            late.apply(bridge, hdr, meta, deparsed, manager);
        }
        hdr.packet_out.setInvalid();
    }
}

// A packet for several BIDs comes here once for each of them, and goes round again to be sent like any other.
control ChipEgress(
        inout bridge_t bridge, inout headers_t hdr, inout metadata_t meta, in bit<16> frame_octets, in bit<16> replica,
        inout bit<3> drop_ctl) {
    WholePacket()   whole_packet;
    Rewriting()     rewriting;
    TunnelSources() tunnel_sources_block;
    OuterHeader()   outer_header;
    SourceCheck()   source_check;
    Reports()       reports;
    LastWord()      last_word;

    apply {
        meta.is_ipv4 = 0;
        if (hdr.ipv4.isValid() && !hdr.ipv6.isValid()) {
            meta.is_ipv4 = 1;
        }
        whole_packet.apply(hdr, meta);
        if (bridge.forwarded == 1) {
            rewriting.apply(hdr, meta);
        }
        if (bridge.encapsulated == 1) {
            meta.flow_hash = bridge.flow_hash_high[3:0] ++ bridge.flow_hash_low;
            if (bridge.flow_hash_high == 0 && bridge.flow_hash_low == 0) {
                meta.flow_hash = 1;     // RFC 6437 section 3: zero means "no label"
            }
            meta.home_agent_id = bridge.home_agent_id;
            meta.destination = bridge.destination;
            tunnel_sources_block.apply(hdr, meta);
            outer_header.apply(hdr, meta);
        }
        if (bridge.unwrapped == 1) {
            meta.path_id = bridge.path_id;
            meta.source_node = bridge.source_node;
            source_check.apply(hdr, meta);
        }
        meta.verdict = (verdict_t)bridge.verdict;
        meta.punt_reason = (punt_reason_t)bridge.punt_reason;
        if (meta.verdict == verdict_t.REPORT) {
            reports.apply(hdr, meta);
        }
        last_word.apply(bridge, meta, frame_octets, drop_ctl);
        if (replica != 0) {
            bridge.bid = replica;
        }
    }
}

#endif
