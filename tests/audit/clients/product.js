import { gql } from "@apollo/client";

export const PRODUCT = gql`
  query Product($id: ID!) {
    product(id: $id) { id name }
  }
`;
