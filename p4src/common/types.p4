// Types that the control plane sees, and the code points they carry.
#ifndef COMMON_TYPES_P4
#define COMMON_TYPES_P4

typedef bit<48>  mac_address_t;
typedef bit<128> ipv6_address_t;
typedef bit<9>   port_t;

// Small integers handed out by the controller: an address is matched once, everything after it uses these.
typedef bit<24>  node_id_t;         // a mobile node
typedef bit<24>  path_id_t;         // a pair of care-of address and home agent address
typedef bit<16>  bid_t;             // binding identifier, RFC 5648 section 4.1
typedef bit<8>   home_agent_id_t;   // a home agent address, and the home link it is on; 0: none
typedef bit<16>  balance_id_t;      // a distribution of flows over BIDs
typedef bit<16>  group_id_t;        // a set of BIDs that get copies
typedef bit<16>  next_hop_id_t;
typedef bit<16>  mtu_t;             // octets of an IP packet

const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_IPV6 = 0x86dd;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<16> ETHERTYPE_LLDP = 0x88cc;

const bit<8> PROTOCOL_HOP_BY_HOP          = 0;
const bit<8> PROTOCOL_IPV4                = 4;
const bit<8> PROTOCOL_TCP                 = 6;
const bit<8> PROTOCOL_UDP                 = 17;
const bit<8> PROTOCOL_IPV6                = 41;
const bit<8> PROTOCOL_ROUTING             = 43;
const bit<8> PROTOCOL_FRAGMENT            = 44;
const bit<8> PROTOCOL_ESP                 = 50;
const bit<8> PROTOCOL_AH                  = 51;
const bit<8> PROTOCOL_ICMPV6              = 58;
const bit<8> PROTOCOL_DESTINATION_OPTIONS = 60;
const bit<8> PROTOCOL_SCTP                = 132;
const bit<8> PROTOCOL_MOBILITY            = 135;
const bit<8> PROTOCOL_UDP_LITE            = 136;

const bit<8> ICMPV6_NEIGHBOR_SOLICITATION  = 135;
const bit<8> ICMPV6_NEIGHBOR_ADVERTISEMENT = 136;
const bit<8> OPTION_SOURCE_LINK_LAYER      = 1;      // RFC 4861 section 4.6.1
const bit<8> OPTION_TARGET_LINK_LAYER      = 2;
const bit<8> LINK_HOP_LIMIT                = 255;    // RFC 4861 section 7.1.1: not forwarded by anybody

const bit<16> IPV6_HEADER_OCTETS  = 40;
const bit<16> TUNNEL_OPTION_OCTETS = 8;
const bit<16> SOLICITATION_OCTETS = 24;         // a Neighbor Solicitation without options
const bit<16> NEIGHBOUR_OCTETS    = 32;         // one with an option, or an advertisement
const bit<8>  TUNNEL_HOP_LIMIT    = 64;         // RFC 2473 section 6.3

const ipv6_address_t ALL_NODES     = 0xff020000000000000000000000000001;
const mac_address_t  ALL_NODES_MAC = 0x333300000001;

// IPv4 addresses are looked up as IPv4-mapped ones (RFC 4291 section 2.5.5.2), in the tables of the others.
#define MAPPED(address)  (96w0xffff ++ address)

// ECN code points, RFC 3168 section 5.
const bit<2> ECN_NOT_ECT = 0;
const bit<2> ECN_ECT1    = 1;
const bit<2> ECN_ECT0    = 2;
const bit<2> ECN_CE      = 3;

// RFC 4291 sections 2.5.6 and 2.7.
#define IS_MULTICAST(address)   (address[127:120] == 0xff)
#define IS_LINK_LOCAL(address)  (address[127:118] == 0x3fa)

// Why a packet was dropped: the index of counter `drops`.
enum bit<8> drop_reason_t {
    NOT_FOR_US                = 0,   // destination MAC is not ours
    MALFORMED                 = 1,   // truncated, wrong version, wrong checksum, lengths that lie
    NOT_IP                    = 2,   // neither IPv6 nor an IPv4 header without options
    HOP_LIMIT                 = 3,
    UNREGISTERED_OUTER_SOURCE = 4,   // tunnelled from an address that is nobody's care-of address
    FORGED_INNER_SOURCE       = 5,   // tunnelled from a care-of address, but in another node's name
    NO_BINDING                = 6,   // a mobile node without a default binding
    NO_TUNNEL                 = 7,   // steered to a BID that has no tunnel
    NO_ROUTE                  = 8,
    POLICY                    = 9,   // a flow binding says drop
    SIGNALLING_RATE           = 10,
    TUNNEL_RATE               = 11,
    ECN                       = 12,  // congestion mark on the outside, none allowed inside: RFC 6040 section 4.2
    TOO_BIG                   = 13,
    SIGNALLING_DENIED         = 14,  // to a home agent address, but nothing that it serves
    SCOPE                     = 15,  // multicast or link-local: never forwarded
    REPORT_RATE               = 16   // the controller would answer with an ICMPv6 error, but not so often
}

// Why a packet went to the controller.
enum bit<8> punt_reason_t {
    NONE                = 0,
    MOBILITY_HEADER     = 1,
    NEIGHBOUR_DISCOVERY = 2,
    ICMPV6              = 3,
    HOP_LIMIT           = 4,
    TOO_BIG             = 5,
    UNREACHABLE         = 6,
    HOME_ADDRESS        = 7,   // a Home Address option: the controller knows whether to believe it
    LINK_DISCOVERY      = 8
}

enum bit<8> verdict_t {
    FORWARD = 0,
    DROP    = 1,
    PUNT    = 2,
    REPORT  = 3    // to the controller at the rate of `punt_policers`, else dropped
}

#endif
