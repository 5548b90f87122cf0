// The blocks in their order for a switch chip, which has few steps one after the other and much room in each: everything is looked
// up as early as its key is known, and judged when all is there.
#ifndef TNA_PIPELINE_P4
#define TNA_PIPELINE_P4

#include "../blocks/links.p4"
#include "../blocks/neighbours.p4"
#include "../blocks/signalling.p4"
#include "../blocks/description.p4"
#include "../blocks/decapsulation.p4"
#include "../blocks/steering.p4"
#include "../blocks/encapsulation.p4"
#include "../blocks/routing.p4"
#include "../blocks/reports.p4"
#include "lengths.p4"
#include "judgement.p4"

control HomeAgent(inout headers_t hdr, inout metadata_t meta) {
    Links()          links;
    Neighbours()     neighbours;
    Advertisement()  advertisement;
    Stations()       stations;
    Signalling()     signalling_block;
    Description()    description;
    Lengths()        lengths;
    Senders()        senders;
    SourceCheck()    source_check;
    Marking()        marking;
    Unwrapping()     unwrapping;
    Steering()       steering;
    Rates()          rates;
    Encapsulation()  encapsulation;
    Routing()        routing;
    EarlyJudgement() early;
    DECLARE_FLOW_HASH(flow_hash)

    apply {
        if (!hdr.ipv6.isValid() && meta.is_ipv4 == 0) {
            links.apply(hdr, meta);
        }
        if (!meta.from_controller && !meta.is_copy) {
            stations.apply(hdr, meta);
        }
        if (hdr.neighbour.isValid() && !meta.malformed && !meta.from_controller && !meta.is_copy) {
            neighbours.apply(hdr, meta);
        }
        description.apply(hdr, meta);
        FLOW_HASH(flow_hash, meta.flow_hash)
        if (!meta.from_controller && !meta.is_copy) {
            steering.apply(hdr, meta);
        }
        lengths.apply(hdr, meta);
        if (hdr.ipv6.isValid() && !meta.is_tunnel && !meta.from_controller && !meta.is_copy) {
            signalling_block.apply(hdr, meta);
        }
        if (meta.own_address && meta.is_tunnel) {
            senders.apply(hdr, meta);
            marking.apply(hdr, meta);
        }
        if (IS_MULTICAST(meta.destination) || IS_LINK_LOCAL(meta.destination) || IS_LINK_LOCAL(meta.source)) {
            meta.found.SCOPE = 1;
        }
        if (meta.own_address) {
            if (!meta.is_tunnel) {
                meta.found.SIGNALLING_DENIED = 1;
            } else if (meta.inner_malformed) {
                meta.malformed = true;
            }
        }
        early.apply(hdr, meta);
        if (meta.answered) {
            advertisement.apply(hdr, meta);
        }
        if (meta.verdict == verdict_t.FORWARD && (meta.mobile || meta.is_copy) && !meta.answered && meta.group_id == 0) {
            encapsulation.apply(hdr, meta);
            rates.apply(hdr, meta);
        }
        if (meta.verdict == verdict_t.FORWARD && !meta.delivered && meta.group_id == 0) {
            routing.apply(hdr, meta);
        }
        if (meta.own_address && meta.is_tunnel) {
            source_check.apply(hdr, meta);
            unwrapping.apply(hdr, meta);
        }
    }
}

control ChipIngress(
        inout bridge_t bridge, inout headers_t hdr, inout metadata_t meta,
        inout ingress_intrinsic_metadata_for_deparser_t deparsed, inout ingress_intrinsic_metadata_for_tm_t manager) {
    HomeAgent()     home_agent;
    LateJudgement() late;
    Reports()       reports;

    @id(0x12000001) DROP_COUNTER(drops)

    apply {
        bridge.forwarded = 0;
        bridge.encapsulated = 0;
        bridge.octets = 0;
        bridge.verdict = 0;
        bridge.report_colour = 0;
        bridge.drop_reason = 0;
        if (hdr.packet_out.isValid() && hdr.packet_out.routed == 0) {
            manager.ucast_egress_port = (port_t)hdr.packet_out.egress_port;
        } else {
            home_agent.apply(hdr, meta);
            bridge.octets = meta.frame_octets;
            bridge.flow_hash_high = 4w0 ++ meta.flow_hash[19:16];
            bridge.flow_hash_low = meta.flow_hash[15:0];
            bridge.node_id = meta.node_id;
            bridge.bid = meta.bid;
            bridge.tunnel_source = meta.tunnel_source;
            bridge.destination = meta.destination;
            if (meta.encapsulated) {
                bridge.encapsulated = 1;
            }
            late.apply(bridge, hdr, meta, deparsed, manager);
            if (meta.verdict == verdict_t.DROP) {
                COUNT_DROP(drops, meta.drop_reason);
            } else if (meta.verdict == verdict_t.REPORT) {
                reports.apply(hdr, meta);
                bridge.verdict = (bit<8>)meta.verdict;
                bridge.report_colour = (bit<8>)meta.report_colour;
                bridge.drop_reason = (bit<8>)meta.drop_reason;
            }
        }
        hdr.packet_out.setInvalid();
    }
}

// A packet for several BIDs comes here once for each of them, and goes round again to be sent like any other.
control ChipEgress(
        inout bridge_t bridge, inout headers_t hdr, inout metadata_t meta, in bit<16> frame_octets, in bit<16> replica,
        inout bit<3> drop_ctl) {
    Description() description;
    Rewriting()   rewriting;
    OuterHeader() outer_header;
    LastWord()    last_word;

    apply {
        meta.is_ipv4 = 0;
        if (hdr.ipv4.isValid() && !hdr.ipv6.isValid()) {
            meta.is_ipv4 = 1;
        }
        meta.own_address = false;
        meta.is_tunnel = false;
        description.apply(hdr, meta);
        if (bridge.forwarded == 1) {
            rewriting.apply(hdr, meta);
        }
        if (bridge.encapsulated == 1) {
            meta.flow_hash = bridge.flow_hash_high[3:0] ++ bridge.flow_hash_low;
            if (bridge.flow_hash_high == 0 && bridge.flow_hash_low == 0) {
                meta.flow_hash = 1;     // RFC 6437 section 3: zero means "no label"
            }
            meta.tunnel_source = bridge.tunnel_source;
            meta.destination = bridge.destination;
            outer_header.apply(hdr, meta);
        }
        last_word.apply(bridge, meta, frame_octets, drop_ctl);
        if (replica != 0) {
            bridge.bid = replica;
        }
    }
}

#endif
