// What the page leaves to the reader: the token of this moment, and a renewal.
export const renewals = [];
let token = process.env.TOKEN || undefined;
export const accessToken = () => token;
export async function renew() {
  renewals.push(token);
  token = process.env.RENEWED;
}
