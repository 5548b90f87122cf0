// A binding's tunnel: an outer header to the care-of address, or the home link itself.
//
// The tables say where to; the outer header is written last, when nothing can go wrong any more.
#ifndef BLOCKS_ENCAPSULATION_P4
#define BLOCKS_ENCAPSULATION_P4

control Rates(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_METER_BYTES(rate_meter)

    @id(0x01000034) action limit() { METER(rate_meter, meta.tunnel_colour); }

    // Bindings with a rate of their own; the others have no entry.
    @id(0x02000031)
    table tunnel_rates {
        key = {
            meta.node_id : exact @id(1) @name("node_id");
            meta.bid     : exact @id(2) @name("bid");
        }
        actions = { limit; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_TUNNEL_RATES;
        TABLE_METER(rate_meter)
    }

    apply {
        tunnel_rates.apply();
    }
}

control Encapsulation(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_COUNTER(tunnel_counter)

    // The MTU is the tunnel's: octets of the longest packet that goes into it whole, at most 65495
    // (RFC 2473 section 7).
    @id(0x01000030) action encap_ipv6(home_agent_id_t home_agent_id, ipv6_address_t destination, mtu_t mtu) {
        COUNT(tunnel_counter);
        meta.home_agent_id = home_agent_id;
        meta.encapsulated = true;
        meta.tunnel_mtu = mtu;
        meta.tunnel_room = mtu |-| meta.last;
        meta.last = meta.last |+| HEADER_OCTETS;
        meta.destination = destination;
    }

    // A node at home: its frames leave by the home link, to the address that it gave (RFC 5648 section 5.6.4).
    @id(0x01000031) action home_link(port_t port, mac_address_t source_mac, mac_address_t destination_mac) {
        COUNT(tunnel_counter);
        hdr.ethernet.source = source_mac;
        hdr.ethernet.destination = destination_mac;
        meta.egress_port = port;
        meta.delivered = true;
    }

    @id(0x01000032) action drop_tunnel() {
        COUNT(tunnel_counter);
        DROP(POLICY);
    }

    @id(0x01000033) action refuse_bid() { DROP(NO_TUNNEL); }

    @id(0x02000030) CRITICAL
    table tunnels {
        key = {
            meta.node_id : exact @id(1) @name("node_id");
            meta.bid     : exact @id(2) @name("bid");
        }
        actions = { encap_ipv6; home_link; drop_tunnel; @defaultonly refuse_bid; }
        const default_action = refuse_bid();
        size = SIZE_TUNNELS;
        TABLE_COUNTER(tunnel_counter)
    }

    apply {
        tunnels.apply();
    }
}

control TunnelSources(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000035) action tunnel_source(ipv6_address_t source) { meta.tunnel_source = source; }

    @id(0x01000036) action refuse_source_address() { DROP(NO_TUNNEL); }

    // The addresses in whose name tunnels begin.
    @id(0x02000032)
    table tunnel_sources {
        key = { meta.home_agent_id : exact @id(1) @name("home_agent_id"); }
        actions = { tunnel_source; @defaultonly refuse_source_address; }
        const default_action = refuse_source_address();
        size = SIZE_HOME_AGENTS;
    }

    apply {
        tunnel_sources.apply();
    }
}

// One hop less.
control Rewriting(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.ipv6.isValid()) {
            hdr.ipv6.hop_limit = meta.hop_limit - 1;
        } else if (hdr.ipv4.isValid()) {
            hdr.ipv4.time_to_live = meta.hop_limit - 1;
        } else {
            hdr.inner_ipv6.hop_limit = meta.hop_limit - 1;
        }
    }
}

// RFC 2473 section 6; ECN copied as RFC 6040 section 4.1 has it, flow label as RFC 6438 section 3.
control OuterHeader(inout headers_t hdr, inout metadata_t meta) {
    apply {
        hdr.tunnel_ipv6.setValid();
        hdr.tunnel_ipv6.version = 6;
        hdr.tunnel_ipv6.traffic_class = meta.traffic_class;
        hdr.tunnel_ipv6.flow_label = meta.flow_hash;
        hdr.tunnel_ipv6.payload_length = meta.octets;
        hdr.tunnel_ipv6.hop_limit = TUNNEL_HOP_LIMIT;
        hdr.tunnel_ipv6.source = meta.tunnel_source;
        hdr.tunnel_ipv6.destination = meta.destination;
        if (meta.is_ipv4 == 1) {
            hdr.tunnel_ipv6.next_header = PROTOCOL_IPV4;
            SET_ETHERTYPE(ETHERTYPE_IPV6);
        } else {
            hdr.tunnel_ipv6.next_header = PROTOCOL_IPV6;
        }
    }
}

#endif
