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
        if ((meta.mobile || meta.is_copy) && !meta.answered && meta.group_id == 0) {
            encapsulation.apply(hdr, meta);
            rates.apply(hdr, meta);
        }
        if (!meta.delivered && meta.group_id == 0) {
            routing.apply(hdr, meta);
        }
        if (meta.own_address && meta.is_tunnel) {
            source_check.apply(hdr, meta);
            unwrapping.apply(hdr, meta);
        }
    }
}

#endif
