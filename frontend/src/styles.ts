import { css } from "lit";

/** What all cards share: the theme's own colours and sizes a finger can hit. */
export const shared = css`
  :host {
    --apis-charge: var(--success-color, #2e7d32);
    --apis-give: var(--warning-color, #b26a00);
    --apis-line: var(--primary-color, #0277bd);
    --apis-edge: var(--divider-color, #d0d0d0);
    display: block;
    color: var(--primary-text-color);
  }
  ha-card {
    padding: 16px;
    height: 100%;
    box-sizing: border-box;
  }
  h2 {
    margin: 0;
    font-size: 1.25rem;
    font-weight: 500;
    line-height: 1.3;
  }
  h3 {
    margin: 14px 0 6px;
    font-size: 0.95rem;
    font-weight: 500;
  }
  .head {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    justify-content: space-between;
    gap: 4px 12px;
  }
  .soft {
    color: var(--secondary-text-color);
  }
  .note {
    margin: 8px 0 0;
  }
  .bad {
    color: var(--error-color);
  }
  button,
  select,
  input,
  textarea {
    font: inherit;
    color: var(--primary-text-color);
    background: var(--card-background-color, #fff);
    border: 1px solid var(--apis-edge);
    border-radius: 8px;
    min-height: 40px;
    padding: 4px 10px;
    box-sizing: border-box;
    max-width: 100%;
  }
  button {
    cursor: pointer;
  }
  button.main {
    background: var(--primary-text-color);
    border-color: var(--primary-text-color);
    color: var(--card-background-color, #fff);
  }
  button:disabled {
    opacity: 0.5;
    cursor: default;
  }
  button.plain {
    border: 0;
    background: none;
  }
  :focus-visible {
    outline: 2px solid var(--apis-line);
    outline-offset: 2px;
  }
  label {
    display: flex;
    flex-direction: column;
    gap: 2px;
    font-size: 0.85rem;
    color: var(--secondary-text-color);
  }
  .row {
    display: flex;
    flex-wrap: wrap;
    gap: 8px;
    align-items: end;
  }
  .bar {
    height: 8px;
    border-radius: 4px;
    background: var(--apis-edge);
    overflow: hidden;
  }
  .bar > div {
    height: 100%;
    background: var(--apis-charge);
  }
  dialog {
    border: 0;
    border-radius: 16px;
    padding: 20px;
    width: min(92vw, 440px);
    box-sizing: border-box;
    color: var(--primary-text-color);
    background: var(--card-background-color, #fff);
  }
  dialog::backdrop {
    background: rgba(0, 0, 0, 0.5);
  }
  .visually-hidden {
    position: absolute;
    width: 1px;
    height: 1px;
    overflow: hidden;
    clip-path: inset(50%);
    white-space: nowrap;
  }
`;
