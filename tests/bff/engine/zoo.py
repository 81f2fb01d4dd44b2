"""A schema with what the shop's does not have: interfaces, unions, permissions, extensions, all kinds of resolvers, faults.

Non-null fields fail synchronously. Of several errors that null the same place only the first is reported, and which of two
asynchronous errors is the first is not specified.
"""

import asyncio
import enum
from typing import Annotated, Any

import strawberry
from graphql import GraphQLSchema
from strawberry.extensions import FieldExtension
from strawberry.permission import BasePermission
from strawberry.schema.config import StrawberryConfig

Weight = strawberry.scalar(name="Weight", serialize=lambda value: f"{value} kg", parse_value=str)


class Mass(float):
    """Kilograms."""


@strawberry.enum
class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


class OnlyTame(BasePermission):
    message = "This one bites."

    def has_permission(self, source: Any, info: Any, **kwargs: Any) -> bool:
        return getattr(source, "number", 0) % 3 != 0


class Shout(FieldExtension):
    def resolve(self, next_: Any, source: Any, info: Any, **kwargs: Any) -> Any:
        return str(next_(source, info, **kwargs)).upper()


@strawberry.interface
class Animal:
    number: int
    name: str
    mood: Mood | None

    @strawberry.field
    def legs(self) -> int:
        if self.number == 5:
            raise ValueError("it would not stand still")
        return self.number * 2

    @strawberry.field
    async def mother(self) -> "Animal | None":
        await asyncio.sleep(0)
        return BEASTS[self.number % 5 + 1] if self.number > 2 else None

    @strawberry.field(permission_classes=[OnlyTame])
    def secret(self) -> str | None:
        return f"secret of {self.name}"


@strawberry.type
class Cat(Animal):
    lives: int

    @strawberry.field(extensions=[Shout()])
    def sound(self, times: int = 1) -> str:
        return "miaow " * min(max(times, 0), 3)

    @strawberry.field
    def friends(self, first: int | None = None) -> "list[Animal | None]":
        return [BEASTS[number] if number != 4 else None for number in (1, 4, 5)][:first]


@strawberry.type
class Dog(Animal):
    @strawberry.field
    def mass(self, info: strawberry.Info, unit: str = "kg") -> str:
        return f"{self.number} {unit} at {'.'.join(map(str, info.path.as_list()))}"

    @strawberry.field
    def litter(self) -> "list[list[Dog]]":
        return [[self], [self, self]] if self.number < 4 else []

    @strawberry.field
    def collar(self) -> "Collar":
        return Collar(color="red") if self.number != 2 else None  # type: ignore[return-value]


@strawberry.type
class Collar:
    color: str

    @strawberry.field
    def owner(self) -> "Annotated[Cat | Dog, strawberry.union('Pet')] | None":
        return BEASTS[1]


def _cat(number: int, mood: Mood | None) -> Any:
    return Cat(number=number, name=f"Cat {number}", mood=mood, lives=9)


def _dog(number: int, mood: Mood | None) -> Any:
    return Dog(number=number, name=f"Dog {number}", mood=mood)


BEASTS: dict[int, Any] = {
    1: _cat(1, Mood.CALM),
    2: _dog(2, None),
    3: _cat(3, Mood.WILD),
    4: _dog(4, Mood.WILD),
    5: _cat(5, None),
}
Pet = Annotated[Cat | Dog, strawberry.union("Pet")]


@strawberry.input
class Wish:
    mood: Mood | None = None
    numbers: list[int] = strawberry.field(default_factory=lambda: [1, 2])


@strawberry.type
class Cage:
    bars: int = 7

    @strawberry.field
    def nothing(self) -> str:
        return None  # type: ignore[return-value]

    @strawberry.field
    def numbers(self) -> list[int]:
        return [1, 2, 2**40]

    @strawberry.field
    def strange(self) -> list[int | None]:
        return [1, 2**40, "x"]  # type: ignore[list-item]


@strawberry.type
class Query:
    @strawberry.field
    def animal(self, number: int) -> Animal | None:
        return BEASTS.get(number)

    @strawberry.field
    async def pet(self, number: int = 2) -> Pet | None:
        await asyncio.sleep(0)
        return BEASTS.get(number)

    @strawberry.field
    def all(self, wish: Wish | None = None) -> list[Animal]:
        wish = wish or Wish()
        return [BEASTS.get(number, BEASTS[5]) for number in wish.numbers]

    @strawberry.field
    def some(self) -> list[Pet | None] | None:
        return [BEASTS[1], None, ValueError("escaped"), BEASTS[4]]

    @strawberry.field
    def cage(self) -> Cage | None:
        return Cage()

    @strawberry.field
    def mass(self) -> Mass:
        return Mass(2.5)


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def tame(self, number: int) -> Animal | None:
        await asyncio.sleep(0)
        return BEASTS.get(number)

    @strawberry.mutation
    def free(self, wish: Wish) -> int:
        if not wish.numbers:
            raise ValueError("nobody to free")
        return len(wish.numbers)


def zoo() -> GraphQLSchema:
    """The schema."""
    config = StrawberryConfig(scalar_map={Mass: Weight})
    return strawberry.Schema(Query, Mutation, types=[Cat, Dog], config=config)._schema
