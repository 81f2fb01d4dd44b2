"""The operations that the GraphiQL page offers a newcomer, variant by variant.

They run against the demo data as they stand. The first of a variant is the one in the editor on the first visit. Each
is an operation with a name, since GraphiQL's tabs, the metrics and the log are labelled with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Example:
    """One operation ready to run, with the variables it needs."""

    name: str
    query: str
    variables: Mapping[str, object] = field(default_factory=dict)
    needs_token: bool = False


_USER = Example(
    "User and orders",
    """\
query User {
  user(id: "1") {
    id
    email
    name
    orders {
      id
      total
      status
    }
  }
}
""",
    needs_token=True,
)

_CANCEL_ORDER = Example(
    "Cancel an order",
    """\
mutation CancelOrder($id: ID!) {
  cancelOrder(id: $id) {
    order {
      id
      status
    }
    userErrors {
      code
      message
    }
  }
}
""",
    {"id": "9001"},
    needs_token=True,
)

_PLACED_ITEMS = {"items": [{"productId": "8", "quantity": 2}, {"productId": "21", "quantity": 1}]}

_PAGE = {"first": 10, "after": None, "category": "toys", "search": None}

WEB = (
    _USER,
    Example(
        "Account page",
        """\
query Account {
  me {
    id
    name
    email
    tier
    createdAt
    orders(first: 5) {
      id
      status
      total
      currency
      createdAt
      items {
        quantity
        unitPrice
        lineTotal
        product {
          id
          name
          imageUrl(width: 160)
        }
      }
    }
  }
}
""",
        needs_token=True,
    ),
    Example(
        "Catalogue page",
        """\
# For the next page set `after`
# to the `endCursor` of this one.
query Catalogue(
  $first: Int
  $after: String
  $category: String
  $search: String
) {
  products(
    first: $first
    after: $after
    category: $category
    search: $search
  ) {
    totalCount
    pageInfo {
      hasNextPage
      endCursor
    }
    nodes {
      id
      name
      description
      category
      price
      currency
      inStock
      imageUrl(width: 320)
    }
  }
}
""",
        _PAGE,
    ),
    Example(
        "Place an order",
        """\
mutation PlaceOrder($input: PlaceOrderInput!) {
  placeOrder(input: $input) {
    order {
      id
      status
      total
      currency
      items {
        quantity
        lineTotal
        product {
          name
        }
      }
    }
    userErrors {
      field
      code
      message
    }
  }
}
""",
        {"input": _PLACED_ITEMS},
        needs_token=True,
    ),
    _CANCEL_ORDER,
    Example(
        "Change the profile",
        """\
mutation UpdateProfile($input: UpdateProfileInput!) {
  updateProfile(input: $input) {
    user {
      id
      name
      email
    }
    userErrors {
      field
      code
      message
    }
  }
}
""",
        {"input": {"email": "user1@example.org"}},
        needs_token=True,
    ),
)

MOBILE = (
    Example(
        "Home screen",
        """\
query Home {
  home {
    user {
      id
      name
    }
    recentOrders {
      id
      status
      total
      itemCount
    }
    products {
      id
      name
      price
      currency
      imageUrl
    }
  }
}
""",
    ),
    _USER,
    Example(
        "Account screen",
        """\
query Account {
  me {
    name
    tier
    orders(first: 5) {
      id
      status
      total
      itemCount
      items {
        quantity
        product {
          name
          imageUrl
        }
      }
    }
  }
}
""",
        needs_token=True,
    ),
    Example(
        "Catalogue screen",
        """\
# For the next page set `after`
# to the `endCursor` of this one.
query Catalogue(
  $first: Int
  $after: String
  $category: String
  $search: String
) {
  products(
    first: $first
    after: $after
    category: $category
    search: $search
  ) {
    pageInfo {
      hasNextPage
      endCursor
    }
    nodes {
      id
      name
      price
      currency
      inStock
      imageUrl
    }
  }
}
""",
        _PAGE,
    ),
    Example(
        "Place an order",
        """\
mutation PlaceOrder($input: PlaceOrderInput!) {
  placeOrder(input: $input) {
    order {
      id
      status
      total
      itemCount
    }
    userErrors {
      field
      code
      message
    }
  }
}
""",
        {"input": _PLACED_ITEMS},
        needs_token=True,
    ),
    _CANCEL_ORDER,
)

ADMIN = (
    Example(
        "Orders with their users",
        """\
# For the next page set `after`
# to the `endCursor` of this one.
query Orders(
  $first: Int
  $after: String
  $status: OrderStatus
) {
  orders(
    first: $first
    after: $after
    status: $status
  ) {
    totalCount
    pageInfo {
      hasNextPage
      endCursor
    }
    nodes {
      id
      status
      total
      currency
      createdAt
      user {
        id
        name
        email
      }
    }
  }
}
""",
        {"first": 10, "after": None, "status": "PAID"},
        needs_token=True,
    ),
    _USER,
    Example(
        "Stock of a category",
        """\
query Stock($first: Int, $category: String) {
  products(first: $first, category: $category) {
    totalCount
    nodes {
      id
      sku
      name
      price
      stock
      updatedAt
    }
  }
}
""",
        {"first": 20, "category": "toys"},
        needs_token=True,
    ),
    Example(
        "Data sources",
        """\
query Sources {
  sources {
    name
    breaker
    forced
    instances {
      number
      healthy
      weight
      state
    }
  }
}
""",
        needs_token=True,
    ),
    Example(
        "Move an order on",
        """\
mutation UpdateOrderStatus(
  $id: ID!
  $status: OrderStatus!
) {
  updateOrderStatus(id: $id, status: $status) {
    order {
      id
      status
      user {
        name
      }
    }
    userErrors {
      code
      message
    }
  }
}
""",
        {"id": "8001", "status": "SHIPPED"},
        needs_token=True,
    ),
    Example(
        "Change a product",
        """\
mutation UpdateProduct(
  $id: ID!
  $input: UpdateProductInput!
) {
  updateProduct(id: $id, input: $input) {
    product {
      id
      sku
      name
      price
      stock
    }
    userErrors {
      field
      code
      message
    }
  }
}
""",
        {"id": "1", "input": {"price": 9.5, "stock": 40}},
        needs_token=True,
    ),
    _CANCEL_ORDER,
)

EXAMPLES: Mapping[str, tuple[Example, ...]] = {"web": WEB, "mobile": MOBILE, "admin": ADMIN}
